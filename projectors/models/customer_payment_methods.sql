-- How a customer pays, and how well that goes: what the checkout offers first.
--
-- The helper knows each payment, so that none counts twice, and a failure finds its customer. A payment that fails
-- several times has failed once. A failure of a payment that was never begun belongs to nobody, and counts nowhere.

CREATE TABLE customer_payment_methods (
  customer_id text,
  method      text,
  uses        bigint NOT NULL DEFAULT 0,
  failures    bigint NOT NULL DEFAULT 0,
  first_used  timestamptz,
  last_used   timestamptz,
  PRIMARY KEY (customer_id, method)
);
CREATE INDEX ON customer_payment_methods (customer_id, last_used DESC);

COMMENT ON TABLE customer_payment_methods IS 'How customers pay, one row a customer and method.';
COMMENT ON COLUMN customer_payment_methods.method IS 'Such as credit_card.';
COMMENT ON COLUMN customer_payment_methods.uses IS 'Payments that were begun.';
COMMENT ON COLUMN customer_payment_methods.failures IS 'Those of them that have failed at least once.';

CREATE TABLE _payment (
  payment_id  text PRIMARY KEY,
  customer_id text NOT NULL,
  method      text NOT NULL,
  failed      boolean NOT NULL DEFAULT false
);

INSERT INTO customer_payment_methods (customer_id, method, uses, first_used, last_used)
SELECT e.customer_id, e.payment_method, 1, e._time, e._time FROM payments.payment_initiated e
WHERE NOT EXISTS (SELECT 1 FROM _payment p WHERE p.payment_id = e.payment_id)
ON CONFLICT (customer_id, method) DO UPDATE
SET uses = customer_payment_methods.uses + EXCLUDED.uses,
    first_used = LEAST(customer_payment_methods.first_used, EXCLUDED.first_used),
    last_used = GREATEST(customer_payment_methods.last_used, EXCLUDED.last_used);

INSERT INTO _payment (payment_id, customer_id, method)
SELECT e.payment_id, e.customer_id, e.payment_method FROM payments.payment_initiated e
ON CONFLICT (payment_id) DO NOTHING;

INSERT INTO customer_payment_methods (customer_id, method, failures)
SELECT p.customer_id, p.method, 1 FROM payments.payment_failed e JOIN _payment p ON p.payment_id = e.payment_id
WHERE NOT p.failed
ON CONFLICT (customer_id, method) DO UPDATE SET failures = customer_payment_methods.failures + EXCLUDED.failures;

UPDATE _payment p SET failed = true FROM payments.payment_failed e WHERE p.payment_id = e.payment_id;

-- Customers see their own.

GRANT SELECT ON customer_payment_methods TO customer, staff, admin;
CREATE POLICY own ON customer_payment_methods FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON customer_payment_methods FOR SELECT TO staff, admin USING (true);
