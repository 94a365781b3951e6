-- Requests and their answers, whoever asks whom: what is open, what is late, and what became of it.
--
-- A request and its answer may come on two topics, in any order, so each writes columns of its own, the first time that
-- it happens. An answer that nobody has asked for has no asked_at and no deadline. Deadlines are those of the type.

CREATE TABLE request_tracker (
  type        text,
  request_id  text,
  asked_at    timestamptz,
  deadline    timestamptz,
  ok_at       timestamptz,
  failed_at   timestamptz,
  answered_at timestamptz GENERATED ALWAYS AS (LEAST(ok_at, failed_at)) STORED,
  outcome     text GENERATED ALWAYS AS (
    CASE WHEN ok_at IS NOT NULL THEN 'OK' WHEN failed_at IS NOT NULL THEN 'FAILED' END) STORED,
  -- The type belongs to the key: a sale asks for all that it needs under its own number.
  PRIMARY KEY (type, request_id)
);
CREATE INDEX ON request_tracker (request_id);
CREATE INDEX ON request_tracker (type, asked_at DESC);
CREATE INDEX ON request_tracker (deadline) WHERE ok_at IS NULL AND failed_at IS NULL;

COMMENT ON TABLE request_tracker IS 'Requests and their answers, one row a request.';
COMMENT ON COLUMN request_tracker.type IS 'What was asked for, such as product_info or charge_payment.';
COMMENT ON COLUMN request_tracker.request_id IS 'What its answer names: a request, an order, a sale, an allocation or a message, by type.';
COMMENT ON COLUMN request_tracker.deadline IS 'When the answer should be there; null where nobody has asked.';
COMMENT ON COLUMN request_tracker.answered_at IS 'When the first answer came; null while there is none.';
COMMENT ON COLUMN request_tracker.outcome IS 'OK or FAILED; OK once a later answer is. Null while there is none.';

CREATE VIEW overdue AS
SELECT t.type, t.request_id, t.asked_at, t.deadline FROM request_tracker t
WHERE t.ok_at IS NULL AND t.failed_at IS NULL AND t.deadline < now();
COMMENT ON VIEW overdue IS 'Requests whose answer should be there by now, and is not.';

-- The catalogue, which has answered also where it knows no such product.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'product_info', e.request_id, e._time, e._time + interval '30 seconds' FROM catalog.product_info_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at, failed_at)
SELECT 'product_info', e.request_id, CASE WHEN e.found THEN e._time END,
       CASE WHEN NOT e.found THEN e._time END
FROM catalog.product_info_provided e
ON CONFLICT (type, request_id) DO UPDATE
SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at),
    failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

-- Prices, and what the customer gets off.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'pricing_calculation', e.request_id, e._time, e._time + interval '30 seconds'
FROM pricing.pricing_calculation_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'pricing_calculation', e.request_id, e._time FROM pricing.pricing_calculated e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'pricing_calculation', e.sale_id, e._time FROM pos.pricing_calculation_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'benefits_application', e.request_id, e._time, e._time + interval '30 seconds'
FROM pricing.benefits_application_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'benefits_application', e.request_id, e._time FROM pricing.benefits_applied e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

-- Customers, by their sale.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'customer_validation', e.sale_id, e._time, e._time + interval '30 seconds'
FROM customers.customer_validation_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at, failed_at)
SELECT 'customer_validation', e.sale_id, CASE WHEN e.active THEN e.validated_at END,
       CASE WHEN NOT e.active THEN e.validated_at END
FROM customers.customer_validated e
ON CONFLICT (type, request_id) DO UPDATE
SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at),
    failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

-- Stock that is set aside in a warehouse. A shortage does not say of which allocation it is.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'stock_allocation', e.allocation_id, e._time, e._time + interval '30 seconds'
FROM stock.stock_allocation_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'stock_allocation', e.allocation_id, e.allocated_at FROM stock.stock_allocated e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

-- The end of a sale.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'sale_completion', e.sale_id, e._time, e._time + interval '30 seconds' FROM pos.sale_completion_requested e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'sale_completion', e.sale_id, e.completed_at FROM pos.sale_completed e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'sale_completion', e.sale_id, e._time FROM pos.payment_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

-- An order's stock, payment and parcel.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'reserve_inventory', e.order_id, e._time, e._time + interval '30 seconds' FROM reservations.reserve_inventory e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'reserve_inventory', e.order_id, e._time FROM reservations.inventory_reserved e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'reserve_inventory', e.order_id, e._time FROM reservations.inventory_reservation_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'charge_payment', e.order_id, e._time, e._time + interval '5 minutes' FROM payments.charge_payment e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'charge_payment', e.order_id, e.processed_at FROM payments.payment_succeeded e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'charge_payment', e.order_id, e.failed_at FROM payments.payment_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'refund_payment', e.order_id, e._time, e._time + interval '5 minutes' FROM payments.refund_payment e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'refund_payment', e.order_id, e.processed_at FROM payments.refund_processed e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'ship_order', e.order_id, e._time, e._time + interval '7 days' FROM shipping.ship_order e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'ship_order', e.order_id, e.shipped_at FROM orders.order_shipped e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'ship_order', e.order_id, e.failed_at FROM shipping.shipment_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'cancel_shipment', e.order_id, e._time, e._time + interval '1 day' FROM shipping.cancel_shipment e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'cancel_shipment', e.order_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

-- Messages. One that was cancelled is answered.

INSERT INTO request_tracker (type, request_id, asked_at, deadline)
SELECT 'notify_customer', e.notification_id, e.requested_at, e.requested_at + interval '5 minutes'
FROM notifications.notify_customer e
ON CONFLICT (type, request_id) DO UPDATE
SET asked_at = LEAST(request_tracker.asked_at, EXCLUDED.asked_at),
    deadline = LEAST(request_tracker.deadline, EXCLUDED.deadline);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'notify_customer', e.notification_id, e.sent_at FROM notifications.email_sent e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, ok_at)
SELECT 'notify_customer', e.notification_id, e.sent_at FROM notifications.sms_sent e
ON CONFLICT (type, request_id) DO UPDATE SET ok_at = LEAST(request_tracker.ok_at, EXCLUDED.ok_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'notify_customer', e.notification_id, e.failed_at FROM notifications.notification_failed e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

INSERT INTO request_tracker (type, request_id, failed_at)
SELECT 'notify_customer', e.notification_id, e.cancelled_at FROM notifications.notification_cancelled e
ON CONFLICT (type, request_id) DO UPDATE SET failed_at = LEAST(request_tracker.failed_at, EXCLUDED.failed_at);

-- For administrators.

GRANT SELECT ON request_tracker, overdue TO admin;
