-- How many pieces of a product are free: what a product's page and the basket ask before they promise anything.
--
-- The catalogue says with how many pieces a product was listed, the inventory how many there are after each change.
-- They come on two topics, in any order, so each writes columns of its own, and what is shown follows from both. A
-- product that the inventory knows and nobody has listed stands here without a name.

CREATE TABLE product_availability (
  product_id  text PRIMARY KEY,
  name        text,
  artisan_id  text,
  initial     int,
  level       int,
  threshold   int,
  available   int GENERATED ALWAYS AS (COALESCE(level, initial)) STORED,
  state       text GENERATED ALWAYS AS (
    CASE WHEN COALESCE(level, initial) <= 0 THEN 'DEPLETED'
         WHEN COALESCE(level, initial) <= threshold THEN 'LOW'
         ELSE 'IN_STOCK' END) STORED,
  depleted_at timestamptz,
  updated_at  timestamptz NOT NULL
);
CREATE INDEX ON product_availability (state, name);
CREATE INDEX ON product_availability (artisan_id, name);

COMMENT ON TABLE product_availability IS 'How many pieces of products are free, one row a product.';
COMMENT ON COLUMN product_availability.name IS 'As the catalogue lists it; null until it does.';
COMMENT ON COLUMN product_availability.initial IS 'Pieces with which it was last listed.';
COMMENT ON COLUMN product_availability.level IS 'Free pieces after the inventory''s last change; null before the first.';
COMMENT ON COLUMN product_availability.threshold IS 'What the inventory calls low; null until it has warned once.';
COMMENT ON COLUMN product_availability.available IS 'Free pieces: the inventory''s word, and before there is one the catalogue''s.';
COMMENT ON COLUMN product_availability.state IS 'IN_STOCK, LOW (at the threshold or below) or DEPLETED.';
COMMENT ON COLUMN product_availability.depleted_at IS 'When the last piece was last gone; null if it never was.';
COMMENT ON COLUMN product_availability.updated_at IS 'When the last event happened, of whichever topic.';

-- The catalogue.

INSERT INTO product_availability (product_id, name, artisan_id, initial, updated_at)
SELECT e.product_id, e.product_name, e.artisan_id, e.initial_stock, e.listed_at FROM catalog.new_product_listed e
ON CONFLICT (product_id) DO UPDATE
SET name = EXCLUDED.name, artisan_id = EXCLUDED.artisan_id, initial = EXCLUDED.initial,
    updated_at = GREATEST(product_availability.updated_at, EXCLUDED.updated_at);

-- The inventory, whose events of one product come in their order.

INSERT INTO product_availability (product_id, level, updated_at)
SELECT e.product_id, e.remaining_stock, e._time FROM inventory.stock_reserved e
ON CONFLICT (product_id) DO UPDATE
SET level = EXCLUDED.level, updated_at = GREATEST(product_availability.updated_at, EXCLUDED.updated_at);

INSERT INTO product_availability (product_id, level, updated_at)
SELECT e.product_id, e.new_stock, e._time FROM inventory.stock_released e
ON CONFLICT (product_id) DO UPDATE
SET level = EXCLUDED.level, updated_at = GREATEST(product_availability.updated_at, EXCLUDED.updated_at);

INSERT INTO product_availability (product_id, level, threshold, updated_at)
SELECT e.product_id, e.current_stock, e.threshold, e._time FROM inventory.low_stock_warning e
ON CONFLICT (product_id) DO UPDATE
SET level = EXCLUDED.level, threshold = EXCLUDED.threshold,
    updated_at = GREATEST(product_availability.updated_at, EXCLUDED.updated_at);

INSERT INTO product_availability (product_id, level, depleted_at, updated_at)
SELECT e.product_id, 0, e.depleted_at, e.depleted_at FROM inventory.stock_depleted e
ON CONFLICT (product_id) DO UPDATE
SET level = EXCLUDED.level, depleted_at = EXCLUDED.depleted_at,
    updated_at = GREATEST(product_availability.updated_at, EXCLUDED.updated_at);

-- Everybody sees what is free; how it came about is for those who sell.

GRANT SELECT (product_id, name, available, state) ON product_availability TO PUBLIC;
GRANT SELECT ON product_availability TO artisan, staff, admin;
