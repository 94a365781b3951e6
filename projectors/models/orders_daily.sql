-- What became of the orders of a day, for the shop's dashboard. Everything is counted on the day on which the order was
-- placed, in UTC: a day's numbers go on changing until its last order is delivered or cancelled.
--
-- The helper knows each order, so that no event counts twice, and a later one finds its day. An event of an order that
-- was never placed has no day, and counts nowhere.

CREATE TABLE orders_daily (
  day              date,
  currency         text,
  placed           bigint NOT NULL DEFAULT 0,
  confirmed        bigint NOT NULL DEFAULT 0,
  shipped          bigint NOT NULL DEFAULT 0,
  delivered        bigint NOT NULL DEFAULT 0,
  cancelled        bigint NOT NULL DEFAULT 0,
  gross            numeric(18,2) NOT NULL DEFAULT 0,
  cancelled_amount numeric(18,2) NOT NULL DEFAULT 0,
  PRIMARY KEY (day, currency)
);

COMMENT ON TABLE orders_daily IS 'Orders by the day on which they were placed, one row a day and currency.';
COMMENT ON COLUMN orders_daily.day IS 'In UTC.';
COMMENT ON COLUMN orders_daily.currency IS 'ISO 4217, three letters. Amounts of different currencies are never added.';
COMMENT ON COLUMN orders_daily.placed IS 'All orders of the day; the other counts are parts of it.';
COMMENT ON COLUMN orders_daily.gross IS 'What they come to, the cancelled ones included.';
COMMENT ON COLUMN orders_daily.cancelled_amount IS 'What the cancelled ones come to.';

CREATE TABLE _order (
  order_id  text PRIMARY KEY,
  day       date NOT NULL,
  currency  text NOT NULL,
  amount    numeric(12,2) NOT NULL,
  confirmed boolean NOT NULL DEFAULT false,
  shipped   boolean NOT NULL DEFAULT false,
  delivered boolean NOT NULL DEFAULT false,
  cancelled boolean NOT NULL DEFAULT false
);

-- Each event is counted first, while the helper still says that it was not.

INSERT INTO orders_daily (day, currency, placed, gross)
SELECT (e.placed_at AT TIME ZONE 'UTC')::date, e.currency, 1, e.amount FROM orders.order_placed e
WHERE NOT EXISTS (SELECT 1 FROM _order o WHERE o.order_id = e.order_id)
ON CONFLICT (day, currency) DO UPDATE
SET placed = orders_daily.placed + EXCLUDED.placed, gross = orders_daily.gross + EXCLUDED.gross;

INSERT INTO _order (order_id, day, currency, amount)
SELECT e.order_id, (e.placed_at AT TIME ZONE 'UTC')::date, e.currency, e.amount FROM orders.order_placed e
ON CONFLICT (order_id) DO NOTHING;

INSERT INTO orders_daily (day, currency, confirmed)
SELECT o.day, o.currency, 1 FROM orders.order_confirmed e JOIN _order o ON o.order_id = e.order_id
WHERE NOT o.confirmed
ON CONFLICT (day, currency) DO UPDATE SET confirmed = orders_daily.confirmed + EXCLUDED.confirmed;

UPDATE _order o SET confirmed = true FROM orders.order_confirmed e WHERE o.order_id = e.order_id;

INSERT INTO orders_daily (day, currency, shipped)
SELECT o.day, o.currency, 1 FROM orders.order_shipped e JOIN _order o ON o.order_id = e.order_id
WHERE NOT o.shipped
ON CONFLICT (day, currency) DO UPDATE SET shipped = orders_daily.shipped + EXCLUDED.shipped;

UPDATE _order o SET shipped = true FROM orders.order_shipped e WHERE o.order_id = e.order_id;

-- Delivered and cancelled are both the end: whichever comes first stays.

INSERT INTO orders_daily (day, currency, delivered)
SELECT o.day, o.currency, 1 FROM orders.order_delivered e JOIN _order o ON o.order_id = e.order_id
WHERE NOT o.delivered AND NOT o.cancelled
ON CONFLICT (day, currency) DO UPDATE SET delivered = orders_daily.delivered + EXCLUDED.delivered;

UPDATE _order o SET delivered = true FROM orders.order_delivered e WHERE o.order_id = e.order_id AND NOT o.cancelled;

INSERT INTO orders_daily (day, currency, cancelled, cancelled_amount)
SELECT o.day, o.currency, 1, o.amount FROM orders.order_cancelled e JOIN _order o ON o.order_id = e.order_id
WHERE NOT o.delivered AND NOT o.cancelled
ON CONFLICT (day, currency) DO UPDATE
SET cancelled = orders_daily.cancelled + EXCLUDED.cancelled,
    cancelled_amount = orders_daily.cancelled_amount + EXCLUDED.cancelled_amount;

UPDATE _order o SET cancelled = true FROM orders.order_cancelled e WHERE o.order_id = e.order_id AND NOT o.delivered;

-- The dashboard is for administrators.

GRANT SELECT ON orders_daily TO admin;
