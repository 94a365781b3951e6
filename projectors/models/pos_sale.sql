-- A sale at a till, as a saga: validate the customer, calculate the price, set the stock aside, take it out, complete
-- the sale; and where a step fails, undo those that have succeeded, the last one first. This model shows how far that
-- is. What it shows is read from the log alone, the saga's own commands included, so a rebuild agrees with what really
-- happened.
--
-- Each event writes the column of its own fact, the first time that it happens, and everything else follows from the
-- facts: so the row is the same in whatever order the four topics come. A row without started_at belongs to a sale
-- whose beginning has not been read. Stock is set aside and taken out product by product: the step has succeeded when
-- all products of the sale have. A product that leaves in several movements has left with the first.
--
-- No event says that an undoing has failed, so a sale that cannot be undone stays COMPENSATING, and somebody has to
-- look. A step that fails after the sale is completed undoes the sale: the till has taken money for what it could not
-- hand over.

CREATE TABLE pos_sale (
  sale_id              text PRIMARY KEY,
  customer_id          text,
  warehouse_id         text,
  total                numeric(12,2),
  products             int,
  started_at           timestamptz,
  validate_asked_at    timestamptz,
  validate_due_at      timestamptz,
  validated_at         timestamptz,
  validation_failed_at timestamptz,
  price_asked_at       timestamptz,
  price_due_at         timestamptz,
  priced_at            timestamptz,
  manual_price_at      timestamptz,
  price_failed_at      timestamptz,
  allocate_asked_at    timestamptz,
  allocate_due_at      timestamptz,
  allocated            int NOT NULL DEFAULT 0,
  released             int NOT NULL DEFAULT 0,
  shortage_at          timestamptz,
  exit_asked_at        timestamptz,
  exit_due_at          timestamptz,
  exited               int NOT NULL DEFAULT 0,
  returned             int NOT NULL DEFAULT 0,
  complete_asked_at    timestamptz,
  complete_due_at      timestamptz,
  completed_at         timestamptz,
  payment_failed_at    timestamptz,
  compensated_at       timestamptz,
  step_failed_at       timestamptz,
  failed_step          text,
  error                text,
  status               text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN NOT (validation_failed_at IS NOT NULL
                   OR price_failed_at IS NOT NULL AND priced_at IS NULL
                   OR shortage_at IS NOT NULL
                   OR step_failed_at IS NOT NULL
                   OR payment_failed_at IS NOT NULL AND completed_at IS NULL) THEN
           CASE WHEN completed_at IS NOT NULL THEN 'COMPLETED' ELSE 'RUNNING' END
         WHEN completed_at IS NOT NULL AND compensated_at IS NULL OR exited > returned OR allocated > released
           THEN 'COMPENSATING'
         ELSE 'COMPENSATED' END) STORED,
  step                 text GENERATED ALWAYS AS (
    CASE WHEN validation_failed_at IS NOT NULL
           OR price_failed_at IS NOT NULL AND priced_at IS NULL
           OR shortage_at IS NOT NULL
           OR step_failed_at IS NOT NULL
           OR payment_failed_at IS NOT NULL AND completed_at IS NULL
           OR completed_at IS NOT NULL THEN NULL
         WHEN customer_id IS NOT NULL AND validated_at IS NULL THEN 'validate_customer'
         WHEN priced_at IS NULL AND manual_price_at IS NULL THEN 'calculate_price'
         WHEN products IS NULL OR allocated < products THEN 'allocate_stock'
         WHEN exited < products THEN 'record_exit'
         ELSE 'complete_sale' END) STORED,
  due_at               timestamptz GENERATED ALWAYS AS (
    CASE WHEN validation_failed_at IS NOT NULL
           OR price_failed_at IS NOT NULL AND priced_at IS NULL
           OR shortage_at IS NOT NULL
           OR step_failed_at IS NOT NULL
           OR payment_failed_at IS NOT NULL AND completed_at IS NULL
           OR completed_at IS NOT NULL THEN NULL
         WHEN customer_id IS NOT NULL AND validated_at IS NULL THEN validate_due_at
         WHEN priced_at IS NULL AND manual_price_at IS NULL THEN price_due_at
         WHEN products IS NULL OR allocated < products THEN allocate_due_at
         WHEN exited < products THEN exit_due_at
         ELSE complete_due_at END) STORED,
  compensation_due     text GENERATED ALWAYS AS (
    CASE WHEN NOT (validation_failed_at IS NOT NULL
                   OR price_failed_at IS NOT NULL AND priced_at IS NULL
                   OR shortage_at IS NOT NULL
                   OR step_failed_at IS NOT NULL
                   OR payment_failed_at IS NOT NULL AND completed_at IS NULL) THEN NULL
         WHEN completed_at IS NOT NULL AND compensated_at IS NULL THEN 'sale_compensated'
         WHEN exited > returned THEN 'stock_entry_requested'
         WHEN allocated > released THEN 'stock_allocation_compensated' END) STORED
);
CREATE INDEX ON pos_sale (status, started_at DESC);
CREATE INDEX ON pos_sale (step, due_at);
CREATE INDEX ON pos_sale (compensation_due, started_at DESC);

COMMENT ON TABLE pos_sale IS 'Sales at tills step by step, one row each: how far they are, and what is to be undone.';
COMMENT ON COLUMN pos_sale.customer_id IS 'Null: somebody unknown, who needs no validation.';
COMMENT ON COLUMN pos_sale.products IS 'How many different products are sold.';
COMMENT ON COLUMN pos_sale.started_at IS 'When it began; null while the sale''s beginning has not been read.';
COMMENT ON COLUMN pos_sale.validate_asked_at IS 'When the step''s command was sent. The other steps have the same columns.';
COMMENT ON COLUMN pos_sale.validate_due_at IS 'When an answer should have come: 30 seconds after it was asked for, as of all steps.';
COMMENT ON COLUMN pos_sale.validated_at IS 'When the step succeeded.';
COMMENT ON COLUMN pos_sale.validation_failed_at IS 'When it was said that the customer may not buy.';
COMMENT ON COLUMN pos_sale.manual_price_at IS 'When the till was allowed to type prices in, for none were known.';
COMMENT ON COLUMN pos_sale.price_failed_at IS 'When it failed without that. Prices that come later are prices.';
COMMENT ON COLUMN pos_sale.allocated IS 'How many of the products are set aside, or were.';
COMMENT ON COLUMN pos_sale.released IS 'How many of those are free again.';
COMMENT ON COLUMN pos_sale.shortage_at IS 'When it was said that there is too little of a product.';
COMMENT ON COLUMN pos_sale.exited IS 'How many of the products have left the warehouse.';
COMMENT ON COLUMN pos_sale.returned IS 'How many of those are back.';
COMMENT ON COLUMN pos_sale.step_failed_at IS 'When a step was said to have failed; failed_step and error say which, and why.';
COMMENT ON COLUMN pos_sale.status IS 'RUNNING, COMPLETED, COMPENSATING, or COMPENSATED: it has failed, and nothing is left to undo.';
COMMENT ON COLUMN pos_sale.step IS 'What it waits for: validate_customer, calculate_price, allocate_stock, record_exit or complete_sale; null at its end.';
COMMENT ON COLUMN pos_sale.due_at IS 'When that step times out; null where nothing was asked for. The view overdue compares it with the clock.';
COMMENT ON COLUMN pos_sale.compensation_due IS 'What is to be told next to undo it: sale_compensated, stock_entry_requested or stock_allocation_compensated; null: nothing.';

CREATE TABLE step (
  sale_id  text,
  step     text,
  outcome  text,
  event_id text,
  at       timestamptz NOT NULL,
  PRIMARY KEY (sale_id, step, outcome, event_id)
);
CREATE INDEX ON step (sale_id, at);

COMMENT ON TABLE step IS 'What has happened in sales, one row an event.';
COMMENT ON COLUMN step.step IS 'As pos_sale.step has them, and start.';
COMMENT ON COLUMN step.outcome IS 'ASKED, OK, FAILED, UNDO_ASKED or UNDONE.';
COMMENT ON COLUMN step.at IS 'When it happened; of a command, when it was sent.';

CREATE TABLE product (
  sale_id      text,
  product_id   text,
  allocated_at timestamptz,
  released_at  timestamptz,
  exited_at    timestamptz,
  returned_at  timestamptz,
  PRIMARY KEY (sale_id, product_id)
);

COMMENT ON TABLE product IS 'Products of sales in the warehouse, one row a sale and product.';
COMMENT ON COLUMN product.allocated_at IS 'When it was first set aside for the sale.';
COMMENT ON COLUMN product.exited_at IS 'When it first left the warehouse for the sale.';

CREATE TABLE _allocation (allocation_id text PRIMARY KEY, product_id text NOT NULL, sale_id text NOT NULL);

CREATE VIEW overdue AS
SELECT s.sale_id, s.step, s.due_at FROM pos_sale s WHERE s.due_at < now();
COMMENT ON VIEW overdue IS 'Sales whose step has timed out by now.';

-- The sale.

INSERT INTO pos_sale (sale_id, customer_id, warehouse_id, total, products, started_at)
SELECT e.sale_id, e.customer_id, e.warehouse_id, e.total_amount,
       (SELECT count(DISTINCT item ->> 'product_id') FROM jsonb_array_elements(e.items) AS item), e.started_at
FROM pos.sale_started e
ON CONFLICT (sale_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, warehouse_id = EXCLUDED.warehouse_id, total = EXCLUDED.total,
    products = EXCLUDED.products, started_at = LEAST(pos_sale.started_at, EXCLUDED.started_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'start', 'OK', e._event_id, e.started_at FROM pos.sale_started e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Validate the customer.

INSERT INTO pos_sale (sale_id, validate_asked_at, validate_due_at)
SELECT e.sale_id, e._time, e._time + interval '30 seconds' FROM customers.customer_validation_requested e
ON CONFLICT (sale_id) DO UPDATE
SET validate_asked_at = LEAST(pos_sale.validate_asked_at, EXCLUDED.validate_asked_at),
    validate_due_at = LEAST(pos_sale.validate_due_at, EXCLUDED.validate_due_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'validate_customer', 'ASKED', e._event_id, e._time FROM customers.customer_validation_requested e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, validated_at)
SELECT e.sale_id, e.validated_at FROM customers.customer_validated e WHERE e.active
ON CONFLICT (sale_id) DO UPDATE SET validated_at = LEAST(pos_sale.validated_at, EXCLUDED.validated_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'validate_customer', 'OK', e._event_id, e.validated_at FROM customers.customer_validated e
WHERE e.active
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, validation_failed_at)
SELECT e.sale_id, e.validated_at FROM customers.customer_validated e WHERE NOT e.active
ON CONFLICT (sale_id) DO UPDATE
SET validation_failed_at = LEAST(pos_sale.validation_failed_at, EXCLUDED.validation_failed_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'validate_customer', 'FAILED', e._event_id, e.validated_at FROM customers.customer_validated e
WHERE NOT e.active
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Calculate the price. Requests of others than tills name no sale.

INSERT INTO pos_sale (sale_id, price_asked_at, price_due_at)
SELECT e.sale_id, e._time, e._time + interval '30 seconds' FROM pricing.pricing_calculation_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id) DO UPDATE
SET price_asked_at = LEAST(pos_sale.price_asked_at, EXCLUDED.price_asked_at),
    price_due_at = LEAST(pos_sale.price_due_at, EXCLUDED.price_due_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'calculate_price', 'ASKED', e._event_id, e._time FROM pricing.pricing_calculation_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, priced_at)
SELECT e.sale_id, e._time FROM pricing.pricing_calculated e WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id) DO UPDATE SET priced_at = LEAST(pos_sale.priced_at, EXCLUDED.priced_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'calculate_price', 'OK', e._event_id, e._time FROM pricing.pricing_calculated e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, manual_price_at, price_failed_at)
SELECT e.sale_id, CASE WHEN e.fallback_to_manual_pricing THEN e._time END,
       CASE WHEN NOT e.fallback_to_manual_pricing THEN e._time END
FROM pos.pricing_calculation_failed e
ON CONFLICT (sale_id) DO UPDATE
SET manual_price_at = LEAST(pos_sale.manual_price_at, EXCLUDED.manual_price_at),
    price_failed_at = LEAST(pos_sale.price_failed_at, EXCLUDED.price_failed_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'calculate_price', 'FAILED', e._event_id, e._time FROM pos.pricing_calculation_failed e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Set the stock aside, product by product. A product is counted first, while its row still says that it was not.

INSERT INTO pos_sale (sale_id, allocate_asked_at, allocate_due_at)
SELECT e.sale_id, e._time, e._time + interval '30 seconds' FROM stock.stock_allocation_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id) DO UPDATE
SET allocate_asked_at = LEAST(pos_sale.allocate_asked_at, EXCLUDED.allocate_asked_at),
    allocate_due_at = LEAST(pos_sale.allocate_due_at, EXCLUDED.allocate_due_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'allocate_stock', 'ASKED', e._event_id, e._time FROM stock.stock_allocation_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, allocated)
SELECT e.sale_id, 1 FROM stock.stock_allocated e
WHERE e.sale_id IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM product p WHERE p.sale_id = e.sale_id AND p.product_id = e.product_id AND p.allocated_at IS NOT NULL)
ON CONFLICT (sale_id) DO UPDATE SET allocated = pos_sale.allocated + EXCLUDED.allocated;

INSERT INTO product (sale_id, product_id, allocated_at)
SELECT e.sale_id, e.product_id, e.allocated_at FROM stock.stock_allocated e WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, product_id) DO UPDATE SET allocated_at = LEAST(product.allocated_at, EXCLUDED.allocated_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'allocate_stock', 'OK', e._event_id, e.allocated_at FROM stock.stock_allocated e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO _allocation (allocation_id, product_id, sale_id)
SELECT e.allocation_id, e.product_id, e.sale_id FROM stock.stock_allocated e WHERE e.sale_id IS NOT NULL
ON CONFLICT (allocation_id) DO NOTHING;

-- A shortage ends the sale.

INSERT INTO pos_sale (sale_id, shortage_at)
SELECT e.sale_id, e._time FROM stock.insufficient_stock_detected e WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id) DO UPDATE SET shortage_at = LEAST(pos_sale.shortage_at, EXCLUDED.shortage_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'allocate_stock', 'FAILED', e._event_id, e._time FROM stock.insufficient_stock_detected e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- What is freed is known by its allocation, whose sale the helper alone knows: so these run one by one. They are few.

INSERT INTO pos_sale (sale_id, released)
SELECT a.sale_id, 1 FROM stock.stock_allocation_released e JOIN _allocation a ON a.allocation_id = e.allocation_id
WHERE NOT EXISTS (
  SELECT 1 FROM product p WHERE p.sale_id = a.sale_id AND p.product_id = a.product_id AND p.released_at IS NOT NULL)
ON CONFLICT (sale_id) DO UPDATE SET released = pos_sale.released + EXCLUDED.released;

INSERT INTO product (sale_id, product_id, released_at)
SELECT a.sale_id, a.product_id, e.released_at
FROM stock.stock_allocation_released e JOIN _allocation a ON a.allocation_id = e.allocation_id
ON CONFLICT (sale_id, product_id) DO UPDATE SET released_at = LEAST(product.released_at, EXCLUDED.released_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT a.sale_id, 'allocate_stock', 'UNDONE', e._event_id, e.released_at
FROM stock.stock_allocation_released e JOIN _allocation a ON a.allocation_id = e.allocation_id
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, released)
SELECT a.sale_id, 1 FROM stock.stock_allocation_compensated e JOIN _allocation a ON a.allocation_id = e.allocation_id
WHERE NOT EXISTS (
  SELECT 1 FROM product p WHERE p.sale_id = a.sale_id AND p.product_id = a.product_id AND p.released_at IS NOT NULL)
ON CONFLICT (sale_id) DO UPDATE SET released = pos_sale.released + EXCLUDED.released;

INSERT INTO product (sale_id, product_id, released_at)
SELECT a.sale_id, a.product_id, e._time
FROM stock.stock_allocation_compensated e JOIN _allocation a ON a.allocation_id = e.allocation_id
ON CONFLICT (sale_id, product_id) DO UPDATE SET released_at = LEAST(product.released_at, EXCLUDED.released_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT a.sale_id, 'allocate_stock', 'UNDONE', e._event_id, e._time
FROM stock.stock_allocation_compensated e JOIN _allocation a ON a.allocation_id = e.allocation_id
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Take it out.

INSERT INTO pos_sale (sale_id, exit_asked_at, exit_due_at)
SELECT e.sale_id, e._time, e._time + interval '30 seconds' FROM stock.stock_exit_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id) DO UPDATE
SET exit_asked_at = LEAST(pos_sale.exit_asked_at, EXCLUDED.exit_asked_at),
    exit_due_at = LEAST(pos_sale.exit_due_at, EXCLUDED.exit_due_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'record_exit', 'ASKED', e._event_id, e._time FROM stock.stock_exit_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, exited)
SELECT e.sale_id, 1 FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'EXIT' AND NOT EXISTS (
  SELECT 1 FROM product p WHERE p.sale_id = e.sale_id AND p.product_id = e.product_id AND p.exited_at IS NOT NULL)
ON CONFLICT (sale_id) DO UPDATE SET exited = pos_sale.exited + EXCLUDED.exited;

INSERT INTO product (sale_id, product_id, exited_at)
SELECT e.sale_id, e.product_id, e.recorded_at FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'EXIT'
ON CONFLICT (sale_id, product_id) DO UPDATE SET exited_at = LEAST(product.exited_at, EXCLUDED.exited_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'record_exit', 'OK', e._event_id, e.recorded_at FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'EXIT'
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'record_exit', 'UNDO_ASKED', e._event_id, e._time FROM stock.stock_entry_requested e
WHERE e.sale_id IS NOT NULL
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, returned)
SELECT e.sale_id, 1 FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'ENTRY' AND NOT EXISTS (
  SELECT 1 FROM product p WHERE p.sale_id = e.sale_id AND p.product_id = e.product_id AND p.returned_at IS NOT NULL)
ON CONFLICT (sale_id) DO UPDATE SET returned = pos_sale.returned + EXCLUDED.returned;

INSERT INTO product (sale_id, product_id, returned_at)
SELECT e.sale_id, e.product_id, e.recorded_at FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'ENTRY'
ON CONFLICT (sale_id, product_id) DO UPDATE SET returned_at = LEAST(product.returned_at, EXCLUDED.returned_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'record_exit', 'UNDONE', e._event_id, e.recorded_at FROM stock.stock_movement_recorded e
WHERE e.sale_id IS NOT NULL AND e.direction = 'ENTRY'
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Complete the sale.

INSERT INTO pos_sale (sale_id, complete_asked_at, complete_due_at)
SELECT e.sale_id, e._time, e._time + interval '30 seconds' FROM pos.sale_completion_requested e
ON CONFLICT (sale_id) DO UPDATE
SET complete_asked_at = LEAST(pos_sale.complete_asked_at, EXCLUDED.complete_asked_at),
    complete_due_at = LEAST(pos_sale.complete_due_at, EXCLUDED.complete_due_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'complete_sale', 'ASKED', e._event_id, e._time FROM pos.sale_completion_requested e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, completed_at) SELECT e.sale_id, e.completed_at FROM pos.sale_completed e
ON CONFLICT (sale_id) DO UPDATE SET completed_at = LEAST(pos_sale.completed_at, EXCLUDED.completed_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'complete_sale', 'OK', e._event_id, e.completed_at FROM pos.sale_completed e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, payment_failed_at, error)
SELECT e.sale_id, e._time, e.failure_reason FROM pos.payment_failed e
ON CONFLICT (sale_id) DO UPDATE
SET payment_failed_at = LEAST(pos_sale.payment_failed_at, EXCLUDED.payment_failed_at), error = EXCLUDED.error;

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'complete_sale', 'FAILED', e._event_id, e._time FROM pos.payment_failed e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

INSERT INTO pos_sale (sale_id, compensated_at) SELECT e.sale_id, e._time FROM pos.sale_compensated e
ON CONFLICT (sale_id) DO UPDATE SET compensated_at = LEAST(pos_sale.compensated_at, EXCLUDED.compensated_at);

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, 'complete_sale', 'UNDONE', e._event_id, e._time FROM pos.sale_compensated e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- Any step, by its own name.

INSERT INTO pos_sale (sale_id, step_failed_at, failed_step, error)
SELECT e.sale_id, e.failed_at, e.step, e.error_message FROM pos.sale_step_failed e
ON CONFLICT (sale_id) DO UPDATE
SET step_failed_at = LEAST(pos_sale.step_failed_at, EXCLUDED.step_failed_at), failed_step = EXCLUDED.failed_step,
    error = EXCLUDED.error;

INSERT INTO step (sale_id, step, outcome, event_id, at)
SELECT e.sale_id, e.step, 'FAILED', e._event_id, e.failed_at FROM pos.sale_step_failed e
ON CONFLICT (sale_id, step, outcome, event_id) DO NOTHING;

-- For the tills.

GRANT SELECT ON pos_sale, step, product, overdue TO staff, admin;
