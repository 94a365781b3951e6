-- Every movement of goods, as warehouses record them. Where more leaves than there was, it stands here as it was told;
-- stock_level shows what it comes to.

CREATE TABLE stock_movement (
  movement_id  text PRIMARY KEY,
  product_id   text NOT NULL,
  warehouse_id text NOT NULL,
  direction    text NOT NULL,
  quantity     numeric(18,3) NOT NULL,
  lot_id       text,
  expiry_date  date,
  sale_id      text,
  recorded_at  timestamptz NOT NULL
);
CREATE INDEX ON stock_movement (product_id, recorded_at DESC);
CREATE INDEX ON stock_movement (warehouse_id, recorded_at DESC);
CREATE INDEX ON stock_movement (sale_id, recorded_at);
CREATE INDEX ON stock_movement (lot_id, recorded_at);

COMMENT ON TABLE stock_movement IS 'Movements of goods, one row each.';
COMMENT ON COLUMN stock_movement.direction IS 'ENTRY, EXIT or ADJUSTMENT.';
COMMENT ON COLUMN stock_movement.quantity IS 'Of an adjustment: what is added, negative where pieces are missing.';
COMMENT ON COLUMN stock_movement.lot_id IS 'Null: a product without lots.';
COMMENT ON COLUMN stock_movement.expiry_date IS 'Of the lot, where it was said.';
COMMENT ON COLUMN stock_movement.sale_id IS 'The sale that it is for; null where there is none.';

INSERT INTO stock_movement (movement_id, product_id, warehouse_id, direction, quantity, lot_id, expiry_date, sale_id,
                            recorded_at)
SELECT e.movement_id, e.product_id, e.warehouse_id, e.direction, e.quantity, e.lot_id, e.expiry_date, e.sale_id,
       e.recorded_at
FROM stock.stock_movement_recorded e
ON CONFLICT (movement_id) DO NOTHING;

-- For warehouses and tills.

GRANT SELECT ON stock_movement TO staff, admin;
