-- The target of all that is compared: a primary key and three indexes.
CREATE TABLE orders (
  order_id       text PRIMARY KEY,
  customer_id    text NOT NULL,
  customer_name  text NOT NULL,
  status         text NOT NULL,
  amount         numeric(12,2) NOT NULL,
  currency       text NOT NULL,
  item_count     int NOT NULL,
  placed_at      timestamptz NOT NULL,
  event_at       timestamptz NOT NULL,
  payment_method text NOT NULL,
  ship_street    text NOT NULL,
  ship_city      text NOT NULL,
  ship_postcode  text NOT NULL,
  ship_country   text NOT NULL,
  note           text
);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (status, placed_at);
CREATE INDEX ON orders (placed_at);
