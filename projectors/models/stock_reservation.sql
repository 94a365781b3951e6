-- Pieces that are set aside for orders. An order that reserves a product again, after a release, has it reserved.
--
-- All events of a product come in their order. A release without a reservation leaves a row that says RELEASED and has
-- no quantity: somebody freed what was never set aside.

CREATE TABLE stock_reservation (
  order_id    text,
  product_id  text,
  quantity    int,
  expires_at  timestamptz,
  released_at timestamptz,
  reason      text,
  state       text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN released_at IS NULL THEN 'RESERVED' ELSE 'RELEASED' END) STORED,
  PRIMARY KEY (order_id, product_id)
);
CREATE INDEX ON stock_reservation (product_id, expires_at);
CREATE INDEX ON stock_reservation (state, expires_at);
CREATE INDEX ON stock_reservation (expires_at);

COMMENT ON TABLE stock_reservation IS 'Pieces that are set aside for orders, one row an order and product.';
COMMENT ON COLUMN stock_reservation.quantity IS 'Pieces; null where a release came without a reservation.';
COMMENT ON COLUMN stock_reservation.expires_at IS 'From then on the inventory may give the pieces to others.';
COMMENT ON COLUMN stock_reservation.reason IS 'Why they were released: ORDER_CANCELLED or RESERVATION_EXPIRED.';
COMMENT ON COLUMN stock_reservation.state IS 'RESERVED or RELEASED. Whether one has expired is told by expired.';

CREATE VIEW expired AS
SELECT order_id, product_id, quantity, expires_at FROM stock_reservation
WHERE state = 'RESERVED' AND expires_at < now();
COMMENT ON VIEW expired IS 'Reservations that are over by now and were not released; those of orders that were sent are among them.';

INSERT INTO stock_reservation (order_id, product_id, quantity, expires_at, released_at, reason)
SELECT e.order_id, e.product_id, e.quantity_reserved, e.reservation_expiry, NULL, NULL FROM inventory.stock_reserved e
ON CONFLICT (order_id, product_id) DO UPDATE
SET quantity = EXCLUDED.quantity, expires_at = EXCLUDED.expires_at, released_at = NULL, reason = NULL;

INSERT INTO stock_reservation (order_id, product_id, released_at, reason)
SELECT e.order_id, e.product_id, e._time, e.reason FROM inventory.stock_released e
ON CONFLICT (order_id, product_id) DO UPDATE SET released_at = EXCLUDED.released_at, reason = EXCLUDED.reason;

-- For the desk.

GRANT SELECT ON stock_reservation, expired TO staff, admin;
