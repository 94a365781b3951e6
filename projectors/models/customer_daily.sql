-- What a customer has ordered, day by day. Everything is counted on the day on which the order was placed, in UTC.
--
-- The helper knows each order, so that none counts twice, and a cancellation finds its day. A cancellation of an order
-- that was never placed has no day, and counts nowhere.

CREATE TABLE customer_daily (
  customer_id text,
  day         date,
  currency    text,
  orders      bigint NOT NULL DEFAULT 0,
  revenue     numeric(18,2) NOT NULL DEFAULT 0,
  cancelled   bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (customer_id, day, currency)
);
CREATE INDEX ON customer_daily (day, revenue DESC);

COMMENT ON TABLE customer_daily IS 'Customers'' orders by the day on which they were placed, one row a customer, day and currency.';
COMMENT ON COLUMN customer_daily.day IS 'In UTC.';
COMMENT ON COLUMN customer_daily.currency IS 'ISO 4217, three letters. Amounts of different currencies are never added.';
COMMENT ON COLUMN customer_daily.orders IS 'All orders of the day, the cancelled ones included.';
COMMENT ON COLUMN customer_daily.revenue IS 'What the orders come to, without the cancelled ones.';

CREATE TABLE _order (
  order_id    text PRIMARY KEY,
  customer_id text NOT NULL,
  day         date NOT NULL,
  currency    text NOT NULL,
  amount      numeric(12,2) NOT NULL,
  ended       boolean NOT NULL DEFAULT false
);

INSERT INTO customer_daily (customer_id, day, currency, orders, revenue)
SELECT e.customer_id, (e.placed_at AT TIME ZONE 'UTC')::date, e.currency, 1, e.amount FROM orders.order_placed e
WHERE NOT EXISTS (SELECT 1 FROM _order o WHERE o.order_id = e.order_id)
ON CONFLICT (customer_id, day, currency) DO UPDATE
SET orders = customer_daily.orders + EXCLUDED.orders, revenue = customer_daily.revenue + EXCLUDED.revenue;

INSERT INTO _order (order_id, customer_id, day, currency, amount)
SELECT e.order_id, e.customer_id, (e.placed_at AT TIME ZONE 'UTC')::date, e.currency, e.amount
FROM orders.order_placed e
ON CONFLICT (order_id) DO NOTHING;

-- Delivered and cancelled are both the end: whichever comes first stays.

UPDATE _order o SET ended = true FROM orders.order_delivered e WHERE o.order_id = e.order_id;

INSERT INTO customer_daily (customer_id, day, currency, cancelled, revenue)
SELECT o.customer_id, o.day, o.currency, 1, -o.amount
FROM orders.order_cancelled e JOIN _order o ON o.order_id = e.order_id
WHERE NOT o.ended
ON CONFLICT (customer_id, day, currency) DO UPDATE
SET cancelled = customer_daily.cancelled + EXCLUDED.cancelled, revenue = customer_daily.revenue + EXCLUDED.revenue;

UPDATE _order o SET ended = true FROM orders.order_cancelled e WHERE o.order_id = e.order_id;

-- The dashboard is for administrators.

GRANT SELECT ON customer_daily TO admin;
