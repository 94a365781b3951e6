-- Payments and what was given back of them, as support and bookkeeping look at them.
--
-- A payment that has failed may succeed later, and then it has succeeded. A refund whose payment nobody has told of
-- leaves a payment that says REFUND_WITHOUT_PAYMENT, for somebody to look at. A refund counts once, whatever repeats
-- it.

CREATE TABLE payment (
  payment_id     text PRIMARY KEY,
  order_id       text NOT NULL,
  customer_id    text,
  amount         numeric(12,2),
  method         text,
  gateway        text,
  transaction_id text,
  error_code     text,
  error_message  text,
  retryable      boolean,
  refunded_total numeric(12,2) NOT NULL DEFAULT 0,
  initiated_at   timestamptz,
  processed_at   timestamptz,
  failed_at      timestamptz,
  state          text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN refunded_total > 0 AND processed_at IS NULL THEN 'REFUND_WITHOUT_PAYMENT'
         WHEN refunded_total > 0 AND refunded_total < amount THEN 'PARTLY_REFUNDED'
         WHEN refunded_total > 0 THEN 'REFUNDED'
         WHEN processed_at IS NOT NULL THEN 'SUCCEEDED'
         WHEN failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'INITIATED' END) STORED
);
CREATE INDEX ON payment (order_id, initiated_at DESC);
CREATE INDEX ON payment (customer_id, initiated_at DESC);
CREATE INDEX ON payment (state, initiated_at DESC);

COMMENT ON TABLE payment IS 'Payments, one row each.';
COMMENT ON COLUMN payment.customer_id IS 'Null where the payment''s beginning was not told.';
COMMENT ON COLUMN payment.amount IS 'In the order''s currency, which payments do not say.';
COMMENT ON COLUMN payment.method IS 'Such as credit_card; null where the payment''s beginning was not told.';
COMMENT ON COLUMN payment.transaction_id IS 'The gateway''s name for it.';
COMMENT ON COLUMN payment.error_code IS 'Of the last failure, as the gateway has it; it stays when the payment succeeds later.';
COMMENT ON COLUMN payment.retryable IS 'Whether the gateway thought that the same payment may succeed later.';
COMMENT ON COLUMN payment.refunded_total IS 'What was given back.';
COMMENT ON COLUMN payment.state IS 'INITIATED, SUCCEEDED, FAILED, PARTLY_REFUNDED, REFUNDED or REFUND_WITHOUT_PAYMENT.';

CREATE TABLE refund (
  refund_id    text PRIMARY KEY,
  payment_id   text NOT NULL,
  order_id     text NOT NULL,
  amount       numeric(12,2) NOT NULL,
  reason       text NOT NULL,
  processed_at timestamptz NOT NULL
);
CREATE INDEX ON refund (payment_id, processed_at);
CREATE INDEX ON refund (order_id, processed_at);

COMMENT ON TABLE refund IS 'What was given back, one row a refund.';
COMMENT ON COLUMN refund.payment_id IS 'The payment of which it is a part.';
COMMENT ON COLUMN refund.reason IS 'In words, for people.';

INSERT INTO payment (payment_id, order_id, customer_id, amount, method, initiated_at)
SELECT e.payment_id, e.order_id, e.customer_id, e.amount, e.payment_method, e._time FROM payments.payment_initiated e
ON CONFLICT (payment_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, amount = EXCLUDED.amount, method = EXCLUDED.method,
    initiated_at = LEAST(payment.initiated_at, EXCLUDED.initiated_at);

INSERT INTO payment (payment_id, order_id, amount, transaction_id, gateway, processed_at)
SELECT e.payment_id, e.order_id, e.amount, e.transaction_id, e.gateway, e.processed_at
FROM payments.payment_succeeded e
ON CONFLICT (payment_id) DO UPDATE
SET amount = EXCLUDED.amount, transaction_id = EXCLUDED.transaction_id, gateway = EXCLUDED.gateway,
    processed_at = EXCLUDED.processed_at;

INSERT INTO payment (payment_id, order_id, error_code, error_message, retryable, failed_at)
SELECT e.payment_id, e.order_id, e.error_code, e.error_message, e.retryable, e.failed_at
FROM payments.payment_failed e
ON CONFLICT (payment_id) DO UPDATE
SET error_code = EXCLUDED.error_code, error_message = EXCLUDED.error_message, retryable = EXCLUDED.retryable,
    failed_at = EXCLUDED.failed_at;

-- The sum first, while the refund is not there yet.

INSERT INTO payment (payment_id, order_id, refunded_total)
SELECT e.original_payment_id, e.order_id, e.amount FROM payments.refund_processed e
WHERE NOT EXISTS (SELECT 1 FROM refund r WHERE r.refund_id = e.refund_id)
ON CONFLICT (payment_id) DO UPDATE SET refunded_total = payment.refunded_total + EXCLUDED.refunded_total;

INSERT INTO refund (refund_id, payment_id, order_id, amount, reason, processed_at)
SELECT e.refund_id, e.original_payment_id, e.order_id, e.amount, e.reason, e.processed_at
FROM payments.refund_processed e
ON CONFLICT (refund_id) DO NOTHING;

-- Customers see their own payments. What the gateway calls them is for administrators.

GRANT SELECT (payment_id, order_id, customer_id, amount, method, refunded_total, initiated_at, processed_at,
              failed_at, state)
ON payment TO customer;
GRANT SELECT (payment_id, order_id, customer_id, amount, method, gateway, error_code, error_message, retryable,
              refunded_total, initiated_at, processed_at, failed_at, state)
ON payment TO staff;
GRANT SELECT ON payment TO admin;
CREATE POLICY own ON payment FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON payment FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON refund TO staff, admin;
