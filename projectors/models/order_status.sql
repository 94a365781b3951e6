-- Where an order stands: the order, its stock, its payment and its parcel, joined on one row.
--
-- They come on four topics, in any order. Each event writes the column of its own fact and nothing else, and the words
-- follow from the facts, so the row is the same whoever comes first. A row whose order is UNKNOWN says that others
-- speak of an order that was never placed: a delivery before the order, or a refund without one.

CREATE TABLE order_status (
  order_id              text PRIMARY KEY,
  customer_id           text,
  amount                numeric(12,2),
  currency              text,
  placed_at             timestamptz,
  confirmed_at          timestamptz,
  shipped_at            timestamptz,
  delivered_at          timestamptz,
  cancelled_at          timestamptz,
  cancel_reason         text,
  reserved_at           timestamptz,
  reservation_failed_at timestamptz,
  stock_released_at     timestamptz,
  payment_id            text,
  payment_begun_at      timestamptz,
  paid_at               timestamptz,
  payment_failed_at     timestamptz,
  refunded_at           timestamptz,
  refunded              numeric(12,2),
  shipment_asked_at     timestamptz,
  shipment_failed_at    timestamptz,
  shipment_cancelled_at timestamptz,
  order_state           text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN placed_at IS NULL THEN 'UNKNOWN'
         WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN delivered_at IS NOT NULL THEN 'DELIVERED'
         WHEN shipped_at IS NOT NULL THEN 'SHIPPED'
         WHEN confirmed_at IS NOT NULL THEN 'CONFIRMED'
         ELSE 'PLACED' END) STORED,
  stock_state           text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN stock_released_at IS NOT NULL THEN 'RELEASED'
         WHEN reserved_at IS NOT NULL THEN 'RESERVED'
         WHEN reservation_failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'NONE' END) STORED,
  payment_state         text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN refunded_at IS NOT NULL AND paid_at IS NULL THEN 'REFUND_WITHOUT_PAYMENT'
         WHEN refunded_at IS NOT NULL THEN 'REFUNDED'
         WHEN paid_at IS NOT NULL THEN 'PAID'
         WHEN payment_failed_at IS NOT NULL THEN 'FAILED'
         WHEN payment_begun_at IS NOT NULL THEN 'BEGUN'
         ELSE 'NONE' END) STORED,
  shipment_state        text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN shipment_cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN delivered_at IS NOT NULL THEN 'DELIVERED'
         WHEN shipped_at IS NOT NULL THEN 'SHIPPED'
         WHEN shipment_failed_at IS NOT NULL THEN 'FAILED'
         WHEN shipment_asked_at IS NOT NULL THEN 'REQUESTED'
         ELSE 'NONE' END) STORED
);
CREATE INDEX ON order_status (customer_id, placed_at DESC);
CREATE INDEX ON order_status (order_state, placed_at DESC);
CREATE INDEX ON order_status (payment_state, placed_at DESC);
CREATE INDEX ON order_status (shipment_state, placed_at DESC);
CREATE INDEX ON order_status (placed_at DESC);

COMMENT ON TABLE order_status IS 'Orders with their stock, payment and parcel, one row each.';
COMMENT ON COLUMN order_status.customer_id IS 'Null while the order''s placing is not known, as amount and currency.';
COMMENT ON COLUMN order_status.stock_released_at IS 'When it was asked for that what is set aside becomes free.';
COMMENT ON COLUMN order_status.payment_id IS 'Of the payment that was last told of.';
COMMENT ON COLUMN order_status.refunded IS 'What was last given back; payment has the sum.';
COMMENT ON COLUMN order_status.order_state IS 'PLACED, CONFIRMED, SHIPPED, DELIVERED, CANCELLED, or UNKNOWN: it was never placed.';
COMMENT ON COLUMN order_status.stock_state IS 'NONE, RESERVED, FAILED or RELEASED.';
COMMENT ON COLUMN order_status.payment_state IS 'NONE, BEGUN, PAID, FAILED, REFUNDED or REFUND_WITHOUT_PAYMENT.';
COMMENT ON COLUMN order_status.shipment_state IS 'NONE, REQUESTED, SHIPPED, DELIVERED, FAILED or CANCELLED.';

-- The order. The first order_placed counts.

INSERT INTO order_status (order_id, customer_id, amount, currency, placed_at)
SELECT e.order_id, e.customer_id, e.amount, e.currency, e.placed_at FROM orders.order_placed e
ON CONFLICT (order_id) DO UPDATE
SET customer_id = COALESCE(order_status.customer_id, EXCLUDED.customer_id),
    amount = COALESCE(order_status.amount, EXCLUDED.amount),
    currency = COALESCE(order_status.currency, EXCLUDED.currency),
    placed_at = COALESCE(order_status.placed_at, EXCLUDED.placed_at);

INSERT INTO order_status (order_id, confirmed_at) SELECT e.order_id, e.confirmed_at FROM orders.order_confirmed e
ON CONFLICT (order_id) DO UPDATE SET confirmed_at = EXCLUDED.confirmed_at;

INSERT INTO order_status (order_id, shipped_at) SELECT e.order_id, e.shipped_at FROM orders.order_shipped e
ON CONFLICT (order_id) DO UPDATE SET shipped_at = EXCLUDED.shipped_at;

INSERT INTO order_status (order_id, delivered_at) SELECT e.order_id, e.delivered_at FROM orders.order_delivered e
ON CONFLICT (order_id) DO UPDATE SET delivered_at = EXCLUDED.delivered_at;

INSERT INTO order_status (order_id, cancelled_at, cancel_reason)
SELECT e.order_id, e.cancelled_at, e.reason FROM orders.order_cancelled e
ON CONFLICT (order_id) DO UPDATE SET cancelled_at = EXCLUDED.cancelled_at, cancel_reason = EXCLUDED.cancel_reason;

-- Its stock. The answers have no moment of their own.

INSERT INTO order_status (order_id, reserved_at) SELECT e.order_id, e._time FROM reservations.inventory_reserved e
ON CONFLICT (order_id) DO UPDATE SET reserved_at = EXCLUDED.reserved_at;

INSERT INTO order_status (order_id, reservation_failed_at)
SELECT e.order_id, e._time FROM reservations.inventory_reservation_failed e
ON CONFLICT (order_id) DO UPDATE SET reservation_failed_at = EXCLUDED.reservation_failed_at;

INSERT INTO order_status (order_id, stock_released_at)
SELECT e.order_id, e._time FROM reservations.release_inventory e
ON CONFLICT (order_id) DO UPDATE SET stock_released_at = EXCLUDED.stock_released_at;

-- Its payment.

INSERT INTO order_status (order_id, payment_id, payment_begun_at)
SELECT e.order_id, e.payment_id, e._time FROM payments.payment_initiated e
ON CONFLICT (order_id) DO UPDATE
SET payment_id = EXCLUDED.payment_id, payment_begun_at = EXCLUDED.payment_begun_at;

INSERT INTO order_status (order_id, payment_id, paid_at)
SELECT e.order_id, e.payment_id, e.processed_at FROM payments.payment_succeeded e
ON CONFLICT (order_id) DO UPDATE SET payment_id = EXCLUDED.payment_id, paid_at = EXCLUDED.paid_at;

INSERT INTO order_status (order_id, payment_id, payment_failed_at)
SELECT e.order_id, e.payment_id, e.failed_at FROM payments.payment_failed e
ON CONFLICT (order_id) DO UPDATE
SET payment_id = EXCLUDED.payment_id, payment_failed_at = EXCLUDED.payment_failed_at;

INSERT INTO order_status (order_id, refunded, refunded_at)
SELECT e.order_id, e.amount, e.processed_at FROM payments.refund_processed e
ON CONFLICT (order_id) DO UPDATE SET refunded = EXCLUDED.refunded, refunded_at = EXCLUDED.refunded_at;

-- Its parcel.

INSERT INTO order_status (order_id, shipment_asked_at) SELECT e.order_id, e._time FROM shipping.ship_order e
ON CONFLICT (order_id) DO UPDATE SET shipment_asked_at = EXCLUDED.shipment_asked_at;

INSERT INTO order_status (order_id, shipment_failed_at)
SELECT e.order_id, e.failed_at FROM shipping.shipment_failed e
ON CONFLICT (order_id) DO UPDATE SET shipment_failed_at = EXCLUDED.shipment_failed_at;

INSERT INTO order_status (order_id, shipment_cancelled_at)
SELECT e.order_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (order_id) DO UPDATE SET shipment_cancelled_at = EXCLUDED.shipment_cancelled_at;

-- Customers see their own orders.

GRANT SELECT ON order_status TO customer, staff, admin;
CREATE POLICY own ON order_status FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON order_status FOR SELECT TO staff, admin USING (true);
