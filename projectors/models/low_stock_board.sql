-- What an artisan has to make again: products at their threshold or below. A product comes with the inventory's warning
-- and goes when pieces are freed beyond its threshold.
--
-- Stock that is depleted without a warning stands here without a name and a threshold, and goes with the first piece.

CREATE TABLE low_stock_board (
  product_id    text PRIMARY KEY,
  artisan_id    text NOT NULL,
  product_name  text,
  current_stock int NOT NULL,
  threshold     int,
  warned_at     timestamptz,
  depleted_at   timestamptz
);
CREATE INDEX ON low_stock_board (artisan_id, current_stock);

COMMENT ON TABLE low_stock_board IS 'Products that are running out, one row each, as long as they are.';
COMMENT ON COLUMN low_stock_board.product_name IS 'As the inventory knows it; null where it has not warned.';
COMMENT ON COLUMN low_stock_board.current_stock IS 'Free pieces.';
COMMENT ON COLUMN low_stock_board.warned_at IS 'When the inventory last warned; null where it has not.';
COMMENT ON COLUMN low_stock_board.depleted_at IS 'When the last piece was gone; null while there are pieces.';

INSERT INTO low_stock_board (product_id, artisan_id, product_name, current_stock, threshold, warned_at)
SELECT e.product_id, e.artisan_id, e.product_name, e.current_stock, e.threshold, e._time
FROM inventory.low_stock_warning e
ON CONFLICT (product_id) DO UPDATE
SET artisan_id = EXCLUDED.artisan_id, product_name = EXCLUDED.product_name, current_stock = EXCLUDED.current_stock,
    threshold = EXCLUDED.threshold, warned_at = EXCLUDED.warned_at;

INSERT INTO low_stock_board (product_id, artisan_id, current_stock, depleted_at)
SELECT e.product_id, e.artisan_id, 0, e.depleted_at FROM inventory.stock_depleted e
ON CONFLICT (product_id) DO UPDATE
SET artisan_id = EXCLUDED.artisan_id, current_stock = EXCLUDED.current_stock, depleted_at = EXCLUDED.depleted_at;

UPDATE low_stock_board b SET current_stock = e.remaining_stock
FROM inventory.stock_reserved e WHERE b.product_id = e.product_id;

UPDATE low_stock_board b
SET current_stock = e.new_stock, depleted_at = CASE WHEN e.new_stock > 0 THEN NULL ELSE b.depleted_at END
FROM inventory.stock_released e WHERE b.product_id = e.product_id;

DELETE FROM low_stock_board b USING inventory.stock_released e
WHERE b.product_id = e.product_id AND e.new_stock > COALESCE(b.threshold, 0);

-- Artisans see their own products.

GRANT SELECT ON low_stock_board TO artisan, staff, admin;
CREATE POLICY own ON low_stock_board FOR SELECT TO artisan USING (artisan_id = claim('artisan_id'));
CREATE POLICY everything ON low_stock_board FOR SELECT TO staff, admin USING (true);
