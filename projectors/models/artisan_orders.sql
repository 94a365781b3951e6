-- What an artisan has to make ready: the lines of orders, each with the artisan whose product it is.
--
-- Who offers a product is looked up when the order comes, and brought to the lines that are there when the product is
-- listed. A line of a product that nobody has listed stands here without an artisan, so nobody sees it as theirs.

CREATE TABLE artisan_orders (
  order_id           text,
  line_no            int,
  artisan_id         text,
  product_id         text NOT NULL,
  quantity           int NOT NULL,
  -- Follows from what has happened, so that no event can move an order back.
  status             text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN confirmed_at IS NOT NULL THEN 'CONFIRMED'
         ELSE 'PLACED' END) STORED,
  placed_at          timestamptz NOT NULL,
  confirmed_at       timestamptz,
  estimated_delivery timestamptz,
  cancelled_at       timestamptz,
  PRIMARY KEY (order_id, line_no)
);
CREATE INDEX ON artisan_orders (artisan_id, status, placed_at DESC);
CREATE INDEX ON artisan_orders (artisan_id, placed_at DESC);
CREATE INDEX ON artisan_orders (product_id);

COMMENT ON TABLE artisan_orders IS 'Lines of orders by the artisan whose product it is, one row a line.';
COMMENT ON COLUMN artisan_orders.line_no IS 'From 1, in the order of the basket.';
COMMENT ON COLUMN artisan_orders.artisan_id IS 'Who offers the product; null until it is listed.';
COMMENT ON COLUMN artisan_orders.quantity IS 'Pieces.';
COMMENT ON COLUMN artisan_orders.status IS 'PLACED, CONFIRMED once it is paid and may be made ready, or CANCELLED.';
COMMENT ON COLUMN artisan_orders.estimated_delivery IS 'When the customer expects it; null until the order is confirmed.';

CREATE TABLE _product (product_id text PRIMARY KEY, artisan_id text NOT NULL);

-- An order. Only its first order_placed counts.

INSERT INTO artisan_orders (order_id, line_no, artisan_id, product_id, quantity, placed_at)
SELECT e.order_id, line.line_no, p.artisan_id, line.item ->> 'product_id', (line.item ->> 'quantity')::int, e.placed_at
FROM orders.order_placed e
CROSS JOIN jsonb_array_elements(e.items) WITH ORDINALITY AS line(item, line_no)
LEFT JOIN _product p ON p.product_id = line.item ->> 'product_id'
WHERE NOT EXISTS (SELECT 1 FROM artisan_orders a WHERE a.order_id = e.order_id);

UPDATE artisan_orders a SET confirmed_at = e.confirmed_at, estimated_delivery = e.estimated_delivery
FROM orders.order_confirmed e WHERE a.order_id = e.order_id;

UPDATE artisan_orders a SET cancelled_at = e.cancelled_at
FROM orders.order_cancelled e WHERE a.order_id = e.order_id;

-- A product: the helper first, then the lines that are there already.

INSERT INTO _product (product_id, artisan_id) SELECT e.product_id, e.artisan_id FROM catalog.new_product_listed e
ON CONFLICT (product_id) DO UPDATE SET artisan_id = EXCLUDED.artisan_id;

UPDATE artisan_orders a SET artisan_id = e.artisan_id
FROM catalog.new_product_listed e WHERE a.product_id = e.product_id;

-- Artisans see the lines of their own products.

GRANT SELECT ON artisan_orders TO artisan, staff, admin;
CREATE POLICY own ON artisan_orders FOR SELECT TO artisan USING (artisan_id = claim('artisan_id'));
CREATE POLICY everything ON artisan_orders FOR SELECT TO staff, admin USING (true);
