-- Parcels, from the request to the customer's door. An order has one.
--
-- The shipping service tells of failures and of parcels that were called back, the order service of those that left and
-- arrived. They come on two topics, in any order, so each writes columns of its own. A parcel that arrives without
-- having left has arrived.

CREATE TABLE shipment (
  order_id            text PRIMARY KEY,
  requested_at        timestamptz,
  shipped_at          timestamptz,
  tracking_number     text,
  carrier             text,
  delivered_at        timestamptz,
  failed_at           timestamptz,
  failure             text,
  cancel_requested_at timestamptz,
  cancelled_at        timestamptz,
  state               text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN delivered_at IS NOT NULL THEN 'DELIVERED'
         WHEN shipped_at IS NOT NULL THEN 'SHIPPED'
         WHEN failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'REQUESTED' END) STORED
);
CREATE INDEX ON shipment (state, requested_at DESC);
CREATE INDEX ON shipment (tracking_number);

COMMENT ON TABLE shipment IS 'Parcels, one row an order.';
COMMENT ON COLUMN shipment.requested_at IS 'When the parcel was asked for; null where that was not told.';
COMMENT ON COLUMN shipment.failure IS 'Why it could not be sent, in words.';
COMMENT ON COLUMN shipment.cancel_requested_at IS 'When it was asked to be called back; null if it was not.';
COMMENT ON COLUMN shipment.state IS 'REQUESTED, SHIPPED, DELIVERED, FAILED or CANCELLED. Which has failed and was sent later is sent.';

INSERT INTO shipment (order_id, requested_at) SELECT e.order_id, e._time FROM shipping.ship_order e
ON CONFLICT (order_id) DO UPDATE SET requested_at = LEAST(shipment.requested_at, EXCLUDED.requested_at);

INSERT INTO shipment (order_id, failed_at, failure)
SELECT e.order_id, e.failed_at, e.reason FROM shipping.shipment_failed e
ON CONFLICT (order_id) DO UPDATE SET failed_at = EXCLUDED.failed_at, failure = EXCLUDED.failure;

INSERT INTO shipment (order_id, cancel_requested_at) SELECT e.order_id, e._time FROM shipping.cancel_shipment e
ON CONFLICT (order_id) DO UPDATE
SET cancel_requested_at = LEAST(shipment.cancel_requested_at, EXCLUDED.cancel_requested_at);

INSERT INTO shipment (order_id, cancelled_at) SELECT e.order_id, e.cancelled_at FROM shipping.shipment_cancelled e
ON CONFLICT (order_id) DO UPDATE SET cancelled_at = EXCLUDED.cancelled_at;

INSERT INTO shipment (order_id, shipped_at, tracking_number, carrier)
SELECT e.order_id, e.shipped_at, e.tracking_number, e.carrier FROM orders.order_shipped e
ON CONFLICT (order_id) DO UPDATE
SET shipped_at = EXCLUDED.shipped_at, tracking_number = EXCLUDED.tracking_number, carrier = EXCLUDED.carrier;

INSERT INTO shipment (order_id, delivered_at) SELECT e.order_id, e.delivered_at FROM orders.order_delivered e
ON CONFLICT (order_id) DO UPDATE SET delivered_at = EXCLUDED.delivered_at;

-- For the desk: a parcel does not say whose it is.

GRANT SELECT ON shipment TO staff, admin;
