-- What has happened to an order, as support looks at it: its own events and those of its stock, its payment and its
-- parcel, each on a row that no other event touches.
--
-- An event that says nothing of when it happened, as commands do not, is shown at its record's time. A delivery that is
-- told before its order, or a refund without a payment, stands here as it came: a history does not judge.

CREATE TABLE order_history (
  order_id   text,
  event_type text,
  event_id   text,
  at         timestamptz NOT NULL,
  detail     jsonb NOT NULL DEFAULT '{}',
  -- The type belongs to the key: services may tell two events under one id.
  PRIMARY KEY (order_id, event_type, event_id)
);
CREATE INDEX ON order_history (order_id, at);
CREATE INDEX ON order_history (at DESC);

COMMENT ON TABLE order_history IS 'What has happened to orders, one row an event.';
COMMENT ON COLUMN order_history.event_type IS 'The event''s contract, such as orders.order_placed.';
COMMENT ON COLUMN order_history.event_id IS 'The event''s id; where it has none, its place in the log.';
COMMENT ON COLUMN order_history.at IS 'When it happened.';
COMMENT ON COLUMN order_history.detail IS 'What is worth telling of it, by name.';

-- The order itself.

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'orders.create_order', e._event_id, e._time, jsonb_build_object('customer_id', e.customer_id)
FROM orders.create_order e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'orders.order_placed', e._event_id, e.placed_at,
       jsonb_build_object('customer_id', e.customer_id, 'amount', e.amount, 'currency', e.currency,
                          'payment_method', e.payment_method, 'lines', jsonb_array_length(e.items))
FROM orders.order_placed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'orders.order_confirmed', e._event_id, e.confirmed_at,
       jsonb_build_object('estimated_delivery', e.estimated_delivery)
FROM orders.order_confirmed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'orders.order_shipped', e._event_id, e.shipped_at,
       jsonb_build_object('tracking_number', e.tracking_number, 'carrier', e.carrier)
FROM orders.order_shipped e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at)
SELECT e.order_id, 'orders.order_delivered', e._event_id, e.delivered_at FROM orders.order_delivered e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'orders.order_cancelled', e._event_id, e.cancelled_at,
       jsonb_build_object('reason', e.reason, 'cancelled_by', e.cancelled_by, 'refund_required', e.refund_required)
FROM orders.order_cancelled e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

-- Its stock: for the order as a whole, and product by product.

INSERT INTO order_history (order_id, event_type, event_id, at)
SELECT e.order_id, 'reservations.reserve_inventory', e._event_id, e._time FROM reservations.reserve_inventory e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'reservations.release_inventory', e._event_id, e._time, jsonb_build_object('reason', e.reason)
FROM reservations.release_inventory e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'reservations.inventory_reserved', e._event_id, e._time,
       jsonb_build_object('reservation_expiry', e.reservation_expiry)
FROM reservations.inventory_reserved e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'reservations.inventory_reservation_failed', e._event_id, e._time,
       jsonb_build_object('reason', e.reason, 'missing', e.missing)
FROM reservations.inventory_reservation_failed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'inventory.stock_reserved', e._event_id, e._time,
       jsonb_build_object('product_id', e.product_id, 'quantity', e.quantity_reserved)
FROM inventory.stock_reserved e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'inventory.stock_released', e._event_id, e._time,
       jsonb_build_object('product_id', e.product_id, 'quantity', e.quantity_released, 'reason', e.reason)
FROM inventory.stock_released e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

-- Its payment. What the gateway knows the card by is nobody's business.

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.charge_payment', e._event_id, e._time,
       jsonb_build_object('amount', e.amount, 'currency', e.currency)
FROM payments.charge_payment e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.refund_payment', e._event_id, e._time,
       jsonb_build_object('amount', e.amount, 'reason', e.reason)
FROM payments.refund_payment e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.payment_initiated', e._event_id, e._time,
       jsonb_build_object('payment_id', e.payment_id, 'amount', e.amount, 'payment_method', e.payment_method)
FROM payments.payment_initiated e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.payment_succeeded', e._event_id, e.processed_at,
       jsonb_build_object('payment_id', e.payment_id, 'amount', e.amount, 'gateway', e.gateway)
FROM payments.payment_succeeded e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.payment_failed', e._event_id, e.failed_at,
       jsonb_build_object('payment_id', e.payment_id, 'error_code', e.error_code, 'retryable', e.retryable)
FROM payments.payment_failed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'payments.refund_processed', e._event_id, e.processed_at,
       jsonb_build_object('payment_id', e.original_payment_id, 'amount', e.amount, 'reason', e.reason)
FROM payments.refund_processed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

-- Its parcel.

INSERT INTO order_history (order_id, event_type, event_id, at)
SELECT e.order_id, 'shipping.ship_order', e._event_id, e._time FROM shipping.ship_order e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'shipping.cancel_shipment', e._event_id, e._time, jsonb_build_object('reason', e.reason)
FROM shipping.cancel_shipment e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at, detail)
SELECT e.order_id, 'shipping.shipment_failed', e._event_id, e.failed_at, jsonb_build_object('reason', e.reason)
FROM shipping.shipment_failed e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

INSERT INTO order_history (order_id, event_type, event_id, at)
SELECT e.order_id, 'shipping.shipment_cancelled', e._event_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (order_id, event_type, event_id) DO NOTHING;

-- For the desk and audits.

GRANT SELECT ON order_history TO staff, admin;
