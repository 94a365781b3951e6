-- Sales at the tills: begun, paid, not paid, undone. How far a sale is step by step is told by pos_sale.
--
-- All events of a sale come in their order. A sale that ends without having begun stands here without items and without
-- a day: the till has told only its end.

CREATE TABLE sale (
  sale_id           text PRIMARY KEY,
  customer_id       text,
  warehouse_id      text,
  items             jsonb,
  total             numeric(12,2),
  started_at        timestamptz,
  completed_at      timestamptz,
  payment_failed_at timestamptz,
  step_failed_at    timestamptz,
  compensated_at    timestamptz,
  reason            text,
  refund            numeric(12,2),
  day               date GENERATED ALWAYS AS ((started_at AT TIME ZONE 'UTC')::date) STORED,
  state             text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN compensated_at IS NOT NULL THEN 'COMPENSATED'
         WHEN completed_at IS NOT NULL THEN 'COMPLETED'
         WHEN payment_failed_at IS NOT NULL OR step_failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'OPEN' END) STORED
);
CREATE INDEX ON sale (day, started_at DESC);
CREATE INDEX ON sale (state, started_at DESC);
CREATE INDEX ON sale (customer_id, started_at DESC);

COMMENT ON TABLE sale IS 'Sales at tills, one row each.';
COMMENT ON COLUMN sale.customer_id IS 'Null: somebody unknown.';
COMMENT ON COLUMN sale.warehouse_id IS 'Where the goods come from.';
COMMENT ON COLUMN sale.items IS 'product_id, quantity, unit_price and discount, as a list.';
COMMENT ON COLUMN sale.total IS 'What was paid; before that, what the till expected.';
COMMENT ON COLUMN sale.step_failed_at IS 'When a step failed that is not the payment; null if none did.';
COMMENT ON COLUMN sale.reason IS 'Why it last failed or was undone, in words.';
COMMENT ON COLUMN sale.refund IS 'What was given back; null if it was not undone.';
COMMENT ON COLUMN sale.day IS 'On which it began, in UTC.';
COMMENT ON COLUMN sale.state IS 'OPEN, COMPLETED, FAILED or COMPENSATED.';

INSERT INTO sale (sale_id, customer_id, warehouse_id, items, total, started_at)
SELECT e.sale_id, e.customer_id, e.warehouse_id, e.items, e.total_amount, e.started_at FROM pos.sale_started e
ON CONFLICT (sale_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, warehouse_id = EXCLUDED.warehouse_id, items = EXCLUDED.items,
    total = COALESCE(sale.total, EXCLUDED.total), started_at = EXCLUDED.started_at;

INSERT INTO sale (sale_id, total, completed_at)
SELECT e.sale_id, e.total_amount, e.completed_at FROM pos.sale_completed e
ON CONFLICT (sale_id) DO UPDATE SET total = EXCLUDED.total, completed_at = EXCLUDED.completed_at;

INSERT INTO sale (sale_id, payment_failed_at, reason)
SELECT e.sale_id, e._time, e.failure_reason FROM pos.payment_failed e
ON CONFLICT (sale_id) DO UPDATE SET payment_failed_at = EXCLUDED.payment_failed_at, reason = EXCLUDED.reason;

INSERT INTO sale (sale_id, step_failed_at, reason)
SELECT e.sale_id, e.failed_at, e.step || ': ' || e.error_message FROM pos.sale_step_failed e
ON CONFLICT (sale_id) DO UPDATE SET step_failed_at = EXCLUDED.step_failed_at, reason = EXCLUDED.reason;

INSERT INTO sale (sale_id, compensated_at, reason, refund)
SELECT e.sale_id, e._time, e.compensation_reason, e.refund_amount FROM pos.sale_compensated e
ON CONFLICT (sale_id) DO UPDATE
SET compensated_at = EXCLUDED.compensated_at, reason = EXCLUDED.reason, refund = EXCLUDED.refund;

-- For the tills.

GRANT SELECT ON sale TO staff, admin;
