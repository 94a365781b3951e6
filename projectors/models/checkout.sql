-- The checkout of an order, as a saga: reserve the stock, charge the customer, confirm, send the parcel; and where a
-- step fails, undo those that have succeeded, the last one first. This model shows how far that is. What it shows is
-- read from the log alone, the saga's own commands included, so a rebuild agrees with what really happened.
--
-- Each event writes the column of its own fact, the first time that it happens, and everything else follows from the
-- facts: so the row is the same in whatever order the six topics come. A row without placed_at belongs to an order
-- whose placing has not been read.
--
-- A refund without a payment undoes nothing, and order_status says that it is odd. No event says that an undoing has
-- failed, so a saga that cannot be undone stays COMPENSATING, and somebody has to look.

CREATE TABLE checkout (
  order_id                 text PRIMARY KEY,
  customer_id              text,
  amount                   numeric(12,2),
  currency                 text,
  items                    jsonb,
  placed_at                timestamptz,
  reserve_asked_at         timestamptz,
  reserve_due_at           timestamptz,
  reserved_at              timestamptz,
  reservation_expires_at   timestamptz,
  reservation_failed_at    timestamptz,
  release_asked_at         timestamptz,
  released_at              timestamptz,
  charge_asked_at          timestamptz,
  charge_due_at            timestamptz,
  charged_at               timestamptz,
  charge_failed_at         timestamptz,
  refund_asked_at          timestamptz,
  refunded_at              timestamptz,
  confirmed_at             timestamptz,
  ship_asked_at            timestamptz,
  ship_due_at              timestamptz,
  shipped_at               timestamptz,
  ship_failed_at           timestamptz,
  cancel_shipment_asked_at timestamptz,
  shipment_cancelled_at    timestamptz,
  points_asked_at          timestamptz,
  points_undone_at         timestamptz,
  cancelled_at             timestamptz,
  cancelled_by             text,
  status                   text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN NOT (cancelled_at IS NOT NULL
                   OR reservation_failed_at IS NOT NULL AND reserved_at IS NULL
                   OR charge_failed_at IS NOT NULL AND charged_at IS NULL
                   OR ship_failed_at IS NOT NULL AND shipped_at IS NULL) THEN
           CASE WHEN shipped_at IS NOT NULL THEN 'COMPLETED'
                WHEN reserve_asked_at IS NULL AND reserved_at IS NULL THEN 'STARTED'
                ELSE 'IN_PROGRESS' END
         WHEN shipped_at IS NOT NULL AND shipment_cancelled_at IS NULL
           OR charged_at IS NOT NULL AND refunded_at IS NULL
           OR reserved_at IS NOT NULL AND released_at IS NULL THEN 'COMPENSATING'
         ELSE 'COMPENSATED' END) STORED,
  step                     text GENERATED ALWAYS AS (
    CASE WHEN cancelled_at IS NOT NULL
           OR reservation_failed_at IS NOT NULL AND reserved_at IS NULL
           OR charge_failed_at IS NOT NULL AND charged_at IS NULL
           OR ship_failed_at IS NOT NULL AND shipped_at IS NULL THEN NULL
         WHEN reserved_at IS NULL THEN 'reserve'
         WHEN charged_at IS NULL THEN 'pay'
         WHEN confirmed_at IS NULL THEN 'confirm'
         WHEN shipped_at IS NULL THEN 'ship' END) STORED,
  due_at                   timestamptz GENERATED ALWAYS AS (
    CASE WHEN cancelled_at IS NOT NULL
           OR reservation_failed_at IS NOT NULL AND reserved_at IS NULL
           OR charge_failed_at IS NOT NULL AND charged_at IS NULL
           OR ship_failed_at IS NOT NULL AND shipped_at IS NULL THEN NULL
         WHEN reserved_at IS NULL THEN reserve_due_at
         WHEN charged_at IS NULL THEN LEAST(charge_due_at, reservation_expires_at)
         WHEN confirmed_at IS NOT NULL AND shipped_at IS NULL THEN ship_due_at END) STORED,
  compensation_due         text GENERATED ALWAYS AS (
    CASE WHEN NOT (cancelled_at IS NOT NULL
                   OR reservation_failed_at IS NOT NULL AND reserved_at IS NULL
                   OR charge_failed_at IS NOT NULL AND charged_at IS NULL
                   OR ship_failed_at IS NOT NULL AND shipped_at IS NULL) THEN NULL
         WHEN shipped_at IS NOT NULL AND shipment_cancelled_at IS NULL THEN 'cancel_shipment'
         WHEN charged_at IS NOT NULL AND refunded_at IS NULL THEN 'refund_payment'
         WHEN reserved_at IS NOT NULL AND released_at IS NULL THEN 'release_inventory' END) STORED
);
CREATE INDEX ON checkout (status, placed_at DESC);
CREATE INDEX ON checkout (step, due_at);
CREATE INDEX ON checkout (compensation_due, placed_at DESC);
CREATE INDEX ON checkout (customer_id, placed_at DESC);

COMMENT ON TABLE checkout IS 'Checkouts of orders, one row each: how far they are, and what is to be undone.';
COMMENT ON COLUMN checkout.placed_at IS 'When it began; null while the order''s placing has not been read.';
COMMENT ON COLUMN checkout.reserve_asked_at IS 'When the step''s command was sent. The other steps have the same columns.';
COMMENT ON COLUMN checkout.reserve_due_at IS 'When an answer should have come: 30 seconds after it was asked for.';
COMMENT ON COLUMN checkout.reserved_at IS 'When the step succeeded.';
COMMENT ON COLUMN checkout.reservation_expires_at IS 'Until then it must be paid; null where the stock is kept.';
COMMENT ON COLUMN checkout.reservation_failed_at IS 'When the step failed. A step that succeeds later has succeeded.';
COMMENT ON COLUMN checkout.release_asked_at IS 'When its undoing was asked for.';
COMMENT ON COLUMN checkout.released_at IS 'When it was first undone: when pieces of the order were free again.';
COMMENT ON COLUMN checkout.charge_due_at IS 'Five minutes after it was asked for.';
COMMENT ON COLUMN checkout.charge_failed_at IS 'When it failed for good: a failure that may be tried again is none.';
COMMENT ON COLUMN checkout.ship_due_at IS 'Seven days after it was asked for.';
COMMENT ON COLUMN checkout.points_asked_at IS 'When the customer''s points were asked for; nobody waits for them.';
COMMENT ON COLUMN checkout.points_undone_at IS 'When they were asked back.';
COMMENT ON COLUMN checkout.cancelled_by IS 'CUSTOMER, SYSTEM or PAYMENT_FAILURE.';
COMMENT ON COLUMN checkout.status IS 'STARTED, IN_PROGRESS, COMPLETED, COMPENSATING, or COMPENSATED: it has failed, and nothing is left to undo.';
COMMENT ON COLUMN checkout.step IS 'What it waits for: reserve, pay, confirm or ship; null once it is completed or has failed.';
COMMENT ON COLUMN checkout.due_at IS 'When that step times out; null where nothing was asked for. The view overdue compares it with the clock.';
COMMENT ON COLUMN checkout.compensation_due IS 'What is to be undone next: cancel_shipment, refund_payment or release_inventory; null: nothing.';

CREATE TABLE step (
  order_id text,
  step     text,
  outcome  text,
  event_id text,
  at       timestamptz NOT NULL,
  PRIMARY KEY (order_id, step, outcome, event_id)
);
CREATE INDEX ON step (order_id, at);

COMMENT ON TABLE step IS 'What has happened in checkouts, one row an event.';
COMMENT ON COLUMN step.step IS 'reserve, pay, confirm, ship or points; start and cancel.';
COMMENT ON COLUMN step.outcome IS 'ASKED, OK, FAILED, UNDO_ASKED or UNDONE.';
COMMENT ON COLUMN step.at IS 'When it happened; of a command, when it was sent.';

CREATE VIEW overdue AS
SELECT c.order_id, c.step, c.due_at FROM checkout c WHERE c.due_at < now();
COMMENT ON VIEW overdue IS 'Checkouts whose step has timed out by now.';

-- The order. The first order_placed counts.

INSERT INTO checkout (order_id, customer_id, amount, currency, items, placed_at)
SELECT e.order_id, e.customer_id, e.amount, e.currency, e.items, e.placed_at FROM orders.order_placed e
ON CONFLICT (order_id) DO UPDATE
SET customer_id = COALESCE(checkout.customer_id, EXCLUDED.customer_id),
    amount = COALESCE(checkout.amount, EXCLUDED.amount), currency = COALESCE(checkout.currency, EXCLUDED.currency),
    items = COALESCE(checkout.items, EXCLUDED.items), placed_at = COALESCE(checkout.placed_at, EXCLUDED.placed_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'start', 'OK', e._event_id, e.placed_at FROM orders.order_placed e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, confirmed_at) SELECT e.order_id, e.confirmed_at FROM orders.order_confirmed e
ON CONFLICT (order_id) DO UPDATE SET confirmed_at = LEAST(checkout.confirmed_at, EXCLUDED.confirmed_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'confirm', 'OK', e._event_id, e.confirmed_at FROM orders.order_confirmed e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, shipped_at) SELECT e.order_id, e.shipped_at FROM orders.order_shipped e
ON CONFLICT (order_id) DO UPDATE SET shipped_at = LEAST(checkout.shipped_at, EXCLUDED.shipped_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'ship', 'OK', e._event_id, e.shipped_at FROM orders.order_shipped e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, cancelled_at, cancelled_by)
SELECT e.order_id, e.cancelled_at, e.cancelled_by FROM orders.order_cancelled e
ON CONFLICT (order_id) DO UPDATE
SET cancelled_at = COALESCE(checkout.cancelled_at, EXCLUDED.cancelled_at),
    cancelled_by = COALESCE(checkout.cancelled_by, EXCLUDED.cancelled_by);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'cancel', 'OK', e._event_id, e.cancelled_at FROM orders.order_cancelled e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

-- Reserve. Products that are freed because their time was over are free, whoever undoes the rest.

INSERT INTO checkout (order_id, reserve_asked_at, reserve_due_at)
SELECT e.order_id, e._time, e._time + interval '30 seconds' FROM reservations.reserve_inventory e
ON CONFLICT (order_id) DO UPDATE
SET reserve_asked_at = LEAST(checkout.reserve_asked_at, EXCLUDED.reserve_asked_at),
    reserve_due_at = LEAST(checkout.reserve_due_at, EXCLUDED.reserve_due_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'reserve', 'ASKED', e._event_id, e._time FROM reservations.reserve_inventory e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, reserved_at, reservation_expires_at)
SELECT e.order_id, e._time, e.reservation_expiry FROM reservations.inventory_reserved e
ON CONFLICT (order_id) DO UPDATE
SET reserved_at = LEAST(checkout.reserved_at, EXCLUDED.reserved_at),
    reservation_expires_at = EXCLUDED.reservation_expires_at;

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'reserve', 'OK', e._event_id, e._time FROM reservations.inventory_reserved e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, reservation_failed_at)
SELECT e.order_id, e._time FROM reservations.inventory_reservation_failed e
ON CONFLICT (order_id) DO UPDATE
SET reservation_failed_at = LEAST(checkout.reservation_failed_at, EXCLUDED.reservation_failed_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'reserve', 'FAILED', e._event_id, e._time FROM reservations.inventory_reservation_failed e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, release_asked_at) SELECT e.order_id, e._time FROM reservations.release_inventory e
ON CONFLICT (order_id) DO UPDATE SET release_asked_at = LEAST(checkout.release_asked_at, EXCLUDED.release_asked_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'reserve', 'UNDO_ASKED', e._event_id, e._time FROM reservations.release_inventory e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, released_at) SELECT e.order_id, e._time FROM inventory.stock_released e
ON CONFLICT (order_id) DO UPDATE SET released_at = LEAST(checkout.released_at, EXCLUDED.released_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'reserve', 'UNDONE', e._event_id, e._time FROM inventory.stock_released e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

-- Pay.

INSERT INTO checkout (order_id, charge_asked_at, charge_due_at)
SELECT e.order_id, e._time, e._time + interval '5 minutes' FROM payments.charge_payment e
ON CONFLICT (order_id) DO UPDATE
SET charge_asked_at = LEAST(checkout.charge_asked_at, EXCLUDED.charge_asked_at),
    charge_due_at = LEAST(checkout.charge_due_at, EXCLUDED.charge_due_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'pay', 'ASKED', e._event_id, e._time FROM payments.charge_payment e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, charged_at) SELECT e.order_id, e.processed_at FROM payments.payment_succeeded e
ON CONFLICT (order_id) DO UPDATE SET charged_at = LEAST(checkout.charged_at, EXCLUDED.charged_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'pay', 'OK', e._event_id, e.processed_at FROM payments.payment_succeeded e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, charge_failed_at)
SELECT e.order_id, e.failed_at FROM payments.payment_failed e WHERE NOT e.retryable
ON CONFLICT (order_id) DO UPDATE SET charge_failed_at = LEAST(checkout.charge_failed_at, EXCLUDED.charge_failed_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'pay', 'FAILED', e._event_id, e.failed_at FROM payments.payment_failed e WHERE NOT e.retryable
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, refund_asked_at) SELECT e.order_id, e._time FROM payments.refund_payment e
ON CONFLICT (order_id) DO UPDATE SET refund_asked_at = LEAST(checkout.refund_asked_at, EXCLUDED.refund_asked_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'pay', 'UNDO_ASKED', e._event_id, e._time FROM payments.refund_payment e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, refunded_at) SELECT e.order_id, e.processed_at FROM payments.refund_processed e
ON CONFLICT (order_id) DO UPDATE SET refunded_at = LEAST(checkout.refunded_at, EXCLUDED.refunded_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'pay', 'UNDONE', e._event_id, e.processed_at FROM payments.refund_processed e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

-- Ship.

INSERT INTO checkout (order_id, ship_asked_at, ship_due_at)
SELECT e.order_id, e._time, e._time + interval '7 days' FROM shipping.ship_order e
ON CONFLICT (order_id) DO UPDATE
SET ship_asked_at = LEAST(checkout.ship_asked_at, EXCLUDED.ship_asked_at),
    ship_due_at = LEAST(checkout.ship_due_at, EXCLUDED.ship_due_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'ship', 'ASKED', e._event_id, e._time FROM shipping.ship_order e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, ship_failed_at) SELECT e.order_id, e.failed_at FROM shipping.shipment_failed e
ON CONFLICT (order_id) DO UPDATE SET ship_failed_at = LEAST(checkout.ship_failed_at, EXCLUDED.ship_failed_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'ship', 'FAILED', e._event_id, e.failed_at FROM shipping.shipment_failed e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, cancel_shipment_asked_at) SELECT e.order_id, e._time FROM shipping.cancel_shipment e
ON CONFLICT (order_id) DO UPDATE
SET cancel_shipment_asked_at = LEAST(checkout.cancel_shipment_asked_at, EXCLUDED.cancel_shipment_asked_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'ship', 'UNDO_ASKED', e._event_id, e._time FROM shipping.cancel_shipment e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, shipment_cancelled_at)
SELECT e.order_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (order_id) DO UPDATE
SET shipment_cancelled_at = LEAST(checkout.shipment_cancelled_at, EXCLUDED.shipment_cancelled_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'ship', 'UNDONE', e._event_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

-- The customer's points: asked for after the confirmation, without waiting, and asked back where the checkout is
-- undone.

INSERT INTO checkout (order_id, points_asked_at)
SELECT e.order_id, e._time FROM loyalty.update_loyalty_points e WHERE e.order_id IS NOT NULL AND e.points_change >= 0
ON CONFLICT (order_id) DO UPDATE SET points_asked_at = LEAST(checkout.points_asked_at, EXCLUDED.points_asked_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'points', 'ASKED', e._event_id, e._time FROM loyalty.update_loyalty_points e
WHERE e.order_id IS NOT NULL AND e.points_change >= 0
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

INSERT INTO checkout (order_id, points_undone_at)
SELECT e.order_id, e._time FROM loyalty.update_loyalty_points e WHERE e.order_id IS NOT NULL AND e.points_change < 0
ON CONFLICT (order_id) DO UPDATE SET points_undone_at = LEAST(checkout.points_undone_at, EXCLUDED.points_undone_at);

INSERT INTO step (order_id, step, outcome, event_id, at)
SELECT e.order_id, 'points', 'UNDO_ASKED', e._event_id, e._time FROM loyalty.update_loyalty_points e
WHERE e.order_id IS NOT NULL AND e.points_change < 0
ON CONFLICT (order_id, step, outcome, event_id) DO NOTHING;

-- For the desk.

GRANT SELECT ON checkout, step, overdue TO staff, admin;
