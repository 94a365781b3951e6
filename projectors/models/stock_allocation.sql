-- What was set aside in warehouses, for which sale, and what became of it.
--
-- An allocation that is released without having been made stands here as RELEASED with no lots: somebody freed what was
-- never set aside.

CREATE TABLE stock_allocation (
  allocation_id  text PRIMARY KEY,
  product_id     text NOT NULL,
  warehouse_id   text NOT NULL,
  quantity       numeric(18,3),
  strategy       text,
  sale_id        text,
  lots           jsonb,
  requested_at   timestamptz,
  allocated_at   timestamptz,
  released_at    timestamptz,
  compensated_at timestamptz,
  reason         text,
  state          text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN compensated_at IS NOT NULL THEN 'COMPENSATED'
         WHEN released_at IS NOT NULL THEN 'RELEASED'
         WHEN allocated_at IS NOT NULL THEN 'ALLOCATED'
         ELSE 'REQUESTED' END) STORED
);
CREATE INDEX ON stock_allocation (sale_id, allocated_at);
CREATE INDEX ON stock_allocation (product_id, allocated_at DESC);
CREATE INDEX ON stock_allocation (state, requested_at DESC);

COMMENT ON TABLE stock_allocation IS 'What was set aside in warehouses, one row an allocation.';
COMMENT ON COLUMN stock_allocation.quantity IS 'What was set aside; before that, what was asked for.';
COMMENT ON COLUMN stock_allocation.strategy IS 'Which lots first: FEFO, those that expire first, or FIFO, those that came first.';
COMMENT ON COLUMN stock_allocation.sale_id IS 'The sale that it is for; null where there is none.';
COMMENT ON COLUMN stock_allocation.lots IS 'lot_id, quantity and expiry_date, as a list; empty for a product without lots.';
COMMENT ON COLUMN stock_allocation.reason IS 'Why it was compensated, in words.';
COMMENT ON COLUMN stock_allocation.state IS 'REQUESTED, ALLOCATED, RELEASED or COMPENSATED.';

INSERT INTO stock_allocation (allocation_id, product_id, warehouse_id, quantity, strategy, sale_id, requested_at)
SELECT e.allocation_id, e.product_id, e.warehouse_id, e.quantity, e.strategy, e.sale_id, e._time
FROM stock.stock_allocation_requested e
ON CONFLICT (allocation_id) DO UPDATE
SET strategy = EXCLUDED.strategy, requested_at = LEAST(stock_allocation.requested_at, EXCLUDED.requested_at);

INSERT INTO stock_allocation (allocation_id, product_id, warehouse_id, quantity, sale_id, lots, allocated_at)
SELECT e.allocation_id, e.product_id, e.warehouse_id, e.quantity, e.sale_id, e.lots, e.allocated_at
FROM stock.stock_allocated e
ON CONFLICT (allocation_id) DO UPDATE
SET quantity = EXCLUDED.quantity, sale_id = COALESCE(EXCLUDED.sale_id, stock_allocation.sale_id), lots = EXCLUDED.lots,
    allocated_at = EXCLUDED.allocated_at;

INSERT INTO stock_allocation (allocation_id, product_id, warehouse_id, released_at)
SELECT e.allocation_id, e.product_id, e.warehouse_id, e.released_at FROM stock.stock_allocation_released e
ON CONFLICT (allocation_id) DO UPDATE SET released_at = EXCLUDED.released_at;

INSERT INTO stock_allocation (allocation_id, product_id, warehouse_id, compensated_at, reason)
SELECT e.allocation_id, e.product_id, e.warehouse_id, e._time, e.compensation_reason
FROM stock.stock_allocation_compensated e
ON CONFLICT (allocation_id) DO UPDATE SET compensated_at = EXCLUDED.compensated_at, reason = EXCLUDED.reason;

-- For warehouses and tills.

GRANT SELECT ON stock_allocation TO staff, admin;
