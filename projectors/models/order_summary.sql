-- An order on one row, as its customer and the shop's desk look at it.
--
-- Orders, users and products come on three topics, in any order among one another. So whatever an order shows of the
-- others is looked up when the order comes, and brought to the orders that are there when the others come. A delivery
-- before its order, or anything else of an order that is not there, shows nothing: order_status tells that it is odd.

CREATE TABLE order_summary (
  order_id       text PRIMARY KEY,
  customer_id    text NOT NULL,
  customer_name  text,
  customer_email text,
  -- Follows from what has happened, so that no event can move an order back.
  status         text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN delivered_at IS NOT NULL THEN 'DELIVERED'
         WHEN shipped_at   IS NOT NULL THEN 'SHIPPED'
         WHEN confirmed_at IS NOT NULL THEN 'CONFIRMED'
         ELSE 'PLACED' END) STORED,
  amount         numeric(12,2) NOT NULL,
  currency       text NOT NULL,
  item_count     int NOT NULL DEFAULT 0,
  items          jsonb NOT NULL DEFAULT '[]',
  placed_at      timestamptz,
  confirmed_at   timestamptz,
  shipped_at     timestamptz,
  delivered_at   timestamptz,
  cancelled_at   timestamptz,
  cancel_reason  text,
  last_updated   timestamptz NOT NULL
);
CREATE INDEX ON order_summary (customer_id, placed_at DESC);
CREATE INDEX ON order_summary (status, placed_at DESC);
CREATE INDEX ON order_summary (placed_at DESC);

COMMENT ON TABLE order_summary IS 'Orders, one row each.';
COMMENT ON COLUMN order_summary.customer_name IS 'First and last name as the customer last gave them; null until they are known.';
COMMENT ON COLUMN order_summary.customer_email IS 'As the customer last gave it; null until it is known.';
COMMENT ON COLUMN order_summary.status IS 'PLACED, CONFIRMED, SHIPPED, and at the end DELIVERED or CANCELLED.';
COMMENT ON COLUMN order_summary.amount IS 'What the whole order costs, in its currency.';
COMMENT ON COLUMN order_summary.currency IS 'ISO 4217, three letters.';
COMMENT ON COLUMN order_summary.item_count IS 'Lines of the order, not pieces.';
COMMENT ON COLUMN order_summary.items IS 'The lines as they were ordered; order_summary_item has them as rows, with products'' names.';
COMMENT ON COLUMN order_summary.cancel_reason IS 'In words; null unless the order is cancelled.';
COMMENT ON COLUMN order_summary.last_updated IS 'When the last event of the order itself happened; a customer''s new name does not count.';

CREATE TABLE order_summary_item (
  order_id     text,
  line_no      int,
  product_id   text NOT NULL,
  product_name text,
  quantity     int NOT NULL,
  unit_price   numeric(12,2),
  PRIMARY KEY (order_id, line_no)
);
CREATE INDEX ON order_summary_item (product_id);

COMMENT ON TABLE order_summary_item IS 'Lines of orders, one row each.';
COMMENT ON COLUMN order_summary_item.line_no IS 'From 1, in the order of the basket.';
COMMENT ON COLUMN order_summary_item.product_name IS 'The catalogue''s newest name, else the one that the order gave.';
COMMENT ON COLUMN order_summary_item.unit_price IS 'In the order''s currency; null where the order did not say.';

CREATE TABLE _customer (
  customer_id text PRIMARY KEY,
  first_name  text,
  last_name   text,
  email       text,
  name        text GENERATED ALWAYS AS (
    NULLIF(TRIM(COALESCE(first_name, '') || ' ' || COALESCE(last_name, '')), '')) STORED
);
CREATE TABLE _product (product_id text PRIMARY KEY, name text NOT NULL);

-- An order. Only its first order_placed counts, so the lines look whether the order is there, and come before it.

INSERT INTO order_summary_item (order_id, line_no, product_id, product_name, quantity, unit_price)
SELECT e.order_id, line.line_no, line.item ->> 'product_id', COALESCE(p.name, line.item ->> 'name'),
       (line.item ->> 'quantity')::int, (line.item ->> 'unit_price')::numeric(12,2)
FROM orders.order_placed e
CROSS JOIN jsonb_array_elements(e.items) WITH ORDINALITY AS line(item, line_no)
LEFT JOIN _product p ON p.product_id = line.item ->> 'product_id'
WHERE NOT EXISTS (SELECT 1 FROM order_summary o WHERE o.order_id = e.order_id);

INSERT INTO order_summary (order_id, customer_id, customer_name, customer_email, amount, currency, item_count, items,
                           placed_at, last_updated)
SELECT e.order_id, e.customer_id, c.name, c.email, e.amount, e.currency, jsonb_array_length(e.items), e.items,
       e.placed_at, e._time
FROM orders.order_placed e LEFT JOIN _customer c ON c.customer_id = e.customer_id
ON CONFLICT (order_id) DO NOTHING;

UPDATE order_summary o SET confirmed_at = e.confirmed_at, last_updated = e._time
FROM orders.order_confirmed e WHERE o.order_id = e.order_id;

UPDATE order_summary o SET shipped_at = e.shipped_at, last_updated = e._time
FROM orders.order_shipped e WHERE o.order_id = e.order_id;

-- Delivered and cancelled are both the end: whichever comes first stays.

UPDATE order_summary o SET delivered_at = e.delivered_at, last_updated = e._time
FROM orders.order_delivered e WHERE o.order_id = e.order_id AND o.cancelled_at IS NULL;

UPDATE order_summary o SET cancelled_at = e.cancelled_at, cancel_reason = e.reason, last_updated = e._time
FROM orders.order_cancelled e WHERE o.order_id = e.order_id AND o.delivered_at IS NULL;

-- A customer: the helper first, then the orders that are there already.

INSERT INTO _customer (customer_id) SELECT e.user_id FROM users.user_registered_notification e
ON CONFLICT (customer_id) DO NOTHING;

INSERT INTO _customer (customer_id, first_name, last_name, email)
SELECT e.user_id, e.first_name, e.last_name, e.email FROM users.user_registered e
ON CONFLICT (customer_id) DO UPDATE
SET first_name = EXCLUDED.first_name, last_name = EXCLUDED.last_name, email = EXCLUDED.email;

UPDATE order_summary o SET customer_name = c.name, customer_email = c.email
FROM users.user_registered e JOIN _customer c ON c.customer_id = e.user_id WHERE o.customer_id = e.user_id;

-- These details bear one name: up to its first space is the first name.

INSERT INTO _customer (customer_id, first_name, last_name, email)
SELECT e.user_id, split_part(e.name, ' ', 1), substr(e.name, length(split_part(e.name, ' ', 1)) + 2), e.email
FROM users.user_details_changed e
ON CONFLICT (customer_id) DO UPDATE
SET first_name = EXCLUDED.first_name, last_name = EXCLUDED.last_name, email = EXCLUDED.email;

UPDATE order_summary o SET customer_name = c.name, customer_email = c.email
FROM users.user_details_changed e JOIN _customer c ON c.customer_id = e.user_id WHERE o.customer_id = e.user_id;

-- A profile's update tells only what changed, under the names that the writer's language uses.

INSERT INTO _customer (customer_id, first_name, last_name, email)
SELECT e.user_id, COALESCE(e.new_values ->> 'first_name', e.new_values ->> 'firstName'),
       COALESCE(e.new_values ->> 'last_name', e.new_values ->> 'lastName'), e.new_values ->> 'email'
FROM users.user_profile_updated e
ON CONFLICT (customer_id) DO UPDATE
SET first_name = COALESCE(EXCLUDED.first_name, _customer.first_name),
    last_name = COALESCE(EXCLUDED.last_name, _customer.last_name),
    email = COALESCE(EXCLUDED.email, _customer.email);

UPDATE order_summary o SET customer_name = c.name, customer_email = c.email
FROM users.user_profile_updated e JOIN _customer c ON c.customer_id = e.user_id WHERE o.customer_id = e.user_id;

-- A product: likewise.

INSERT INTO _product (product_id, name) SELECT e.product_id, e.product_name FROM catalog.new_product_listed e
ON CONFLICT (product_id) DO UPDATE SET name = EXCLUDED.name;

UPDATE order_summary_item i SET product_name = e.product_name
FROM catalog.new_product_listed e WHERE i.product_id = e.product_id;

-- Customers see their own orders; the lines as rows are for the desk.

GRANT SELECT ON order_summary TO customer, staff, admin;
CREATE POLICY own ON order_summary FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON order_summary FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON order_summary_item TO staff, admin;
