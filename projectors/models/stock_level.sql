-- How much of a product is in a warehouse, how much of it is spoken for, and which lots it is made of.
--
-- What is set aside for a sale is spoken for until it is released, or until goods leave the warehouse for that sale. A
-- movement counts once, whatever repeats it. More goods that leave than there were make a stock below zero: somebody
-- has not recorded an entry, and the shelf is to be counted.

CREATE TABLE stock_level (
  product_id   text,
  warehouse_id text,
  on_hand      numeric(18,3) NOT NULL DEFAULT 0,
  allocated    numeric(18,3) NOT NULL DEFAULT 0,
  available    numeric(18,3) NOT NULL GENERATED ALWAYS AS (on_hand - allocated) STORED,
  PRIMARY KEY (product_id, warehouse_id)
);
CREATE INDEX ON stock_level (warehouse_id, available);

COMMENT ON TABLE stock_level IS 'How much of products is in warehouses, one row a product and warehouse.';
COMMENT ON COLUMN stock_level.on_hand IS 'What lies there.';
COMMENT ON COLUMN stock_level.allocated IS 'What of it is set aside.';
COMMENT ON COLUMN stock_level.available IS 'What of it is not.';

CREATE TABLE lot (
  product_id   text,
  warehouse_id text,
  lot_id       text,
  on_hand      numeric(18,3) NOT NULL DEFAULT 0,
  expiry_date  date,
  PRIMARY KEY (product_id, warehouse_id, lot_id)
);
CREATE INDEX ON lot (product_id, warehouse_id, expiry_date);
CREATE INDEX ON lot (expiry_date);

COMMENT ON TABLE lot IS 'How much of lots is in warehouses, one row a lot and warehouse.';
COMMENT ON COLUMN lot.expiry_date IS 'The last day on which it may be sold; null: it does not expire, or nobody has said.';

CREATE TABLE _movement (product_id text, movement_id text, PRIMARY KEY (product_id, movement_id));
CREATE TABLE _allocation (
  product_id    text,
  allocation_id text,
  warehouse_id  text NOT NULL,
  sale_id       text,
  remaining     numeric(18,3) NOT NULL,
  PRIMARY KEY (product_id, allocation_id)
);
CREATE INDEX ON _allocation (product_id, warehouse_id, sale_id);

-- A movement. What it takes from its sale's allocations comes first, then the level, the lot and the helper.

INSERT INTO stock_level (product_id, warehouse_id, allocated)
SELECT e.product_id, e.warehouse_id,
       -LEAST(GREATEST(e.quantity, 0), (SELECT COALESCE(sum(a.remaining), 0) FROM _allocation a
                                        WHERE a.product_id = e.product_id AND a.warehouse_id = e.warehouse_id
                                          AND a.sale_id = e.sale_id))
FROM stock.stock_movement_recorded e
WHERE e.direction = 'EXIT' AND NOT EXISTS (
  SELECT 1 FROM _movement m WHERE m.product_id = e.product_id AND m.movement_id = e.movement_id)
ON CONFLICT (product_id, warehouse_id) DO UPDATE SET allocated = stock_level.allocated + EXCLUDED.allocated;

UPDATE _allocation a
SET remaining = a.remaining - LEAST(a.remaining, GREATEST(0, e.quantity - (
  SELECT COALESCE(sum(b.remaining), 0) FROM _allocation b
  WHERE b.product_id = e.product_id AND b.warehouse_id = e.warehouse_id AND b.sale_id = e.sale_id
    AND b.allocation_id < a.allocation_id)))
FROM stock.stock_movement_recorded e
WHERE a.product_id = e.product_id AND a.warehouse_id = e.warehouse_id AND a.sale_id = e.sale_id
  AND e.direction = 'EXIT' AND NOT EXISTS (
    SELECT 1 FROM _movement m WHERE m.product_id = e.product_id AND m.movement_id = e.movement_id);

INSERT INTO stock_level (product_id, warehouse_id, on_hand)
SELECT e.product_id, e.warehouse_id,
       CASE e.direction WHEN 'EXIT' THEN -e.quantity WHEN 'UNKNOWN' THEN 0 ELSE e.quantity END
FROM stock.stock_movement_recorded e
WHERE NOT EXISTS (SELECT 1 FROM _movement m WHERE m.product_id = e.product_id AND m.movement_id = e.movement_id)
ON CONFLICT (product_id, warehouse_id) DO UPDATE SET on_hand = stock_level.on_hand + EXCLUDED.on_hand;

INSERT INTO lot (product_id, warehouse_id, lot_id, on_hand, expiry_date)
SELECT e.product_id, e.warehouse_id, e.lot_id,
       CASE e.direction WHEN 'EXIT' THEN -e.quantity WHEN 'UNKNOWN' THEN 0 ELSE e.quantity END, e.expiry_date
FROM stock.stock_movement_recorded e
WHERE e.lot_id IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM _movement m WHERE m.product_id = e.product_id AND m.movement_id = e.movement_id)
ON CONFLICT (product_id, warehouse_id, lot_id) DO UPDATE
SET on_hand = lot.on_hand + EXCLUDED.on_hand, expiry_date = COALESCE(EXCLUDED.expiry_date, lot.expiry_date);

INSERT INTO _movement (product_id, movement_id) SELECT e.product_id, e.movement_id FROM stock.stock_movement_recorded e
ON CONFLICT (product_id, movement_id) DO NOTHING;

-- What is set aside: the level first, while the helper still says that it was not.

INSERT INTO stock_level (product_id, warehouse_id, allocated)
SELECT e.product_id, e.warehouse_id, e.quantity FROM stock.stock_allocated e
WHERE NOT EXISTS (
  SELECT 1 FROM _allocation a WHERE a.product_id = e.product_id AND a.allocation_id = e.allocation_id)
ON CONFLICT (product_id, warehouse_id) DO UPDATE SET allocated = stock_level.allocated + EXCLUDED.allocated;

INSERT INTO _allocation (product_id, allocation_id, warehouse_id, sale_id, remaining)
SELECT e.product_id, e.allocation_id, e.warehouse_id, e.sale_id, e.quantity FROM stock.stock_allocated e
ON CONFLICT (product_id, allocation_id) DO NOTHING;

-- What is free again: no more than is still set aside.

INSERT INTO stock_level (product_id, warehouse_id, allocated)
SELECT e.product_id, e.warehouse_id, -LEAST(e.quantity, a.remaining)
FROM stock.stock_allocation_released e
JOIN _allocation a
  ON a.product_id = e.product_id AND a.allocation_id = e.allocation_id AND a.warehouse_id = e.warehouse_id
ON CONFLICT (product_id, warehouse_id) DO UPDATE SET allocated = stock_level.allocated + EXCLUDED.allocated;

UPDATE _allocation a SET remaining = a.remaining - LEAST(e.quantity, a.remaining)
FROM stock.stock_allocation_released e
WHERE a.product_id = e.product_id AND a.allocation_id = e.allocation_id AND a.warehouse_id = e.warehouse_id;

INSERT INTO stock_level (product_id, warehouse_id, allocated)
SELECT e.product_id, e.warehouse_id, -LEAST(e.quantity_to_release, a.remaining)
FROM stock.stock_allocation_compensated e
JOIN _allocation a
  ON a.product_id = e.product_id AND a.allocation_id = e.allocation_id AND a.warehouse_id = e.warehouse_id
ON CONFLICT (product_id, warehouse_id) DO UPDATE SET allocated = stock_level.allocated + EXCLUDED.allocated;

UPDATE _allocation a SET remaining = a.remaining - LEAST(e.quantity_to_release, a.remaining)
FROM stock.stock_allocation_compensated e
WHERE a.product_id = e.product_id AND a.allocation_id = e.allocation_id AND a.warehouse_id = e.warehouse_id;

-- For warehouses and tills.

GRANT SELECT ON stock_level, lot TO staff, admin;
