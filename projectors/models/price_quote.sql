-- Prices that were asked for, and the answers. A sale asks under its own number: request_id is its sale_id.
--
-- The till tells on a topic of its own that a price is not known, so it writes columns of its own. An answer that comes
-- after that is an answer still. One that nobody has asked for has no asked_at.

CREATE TABLE price_quote (
  request_id      text PRIMARY KEY,
  sale_id         text,
  customer_id     text,
  total           numeric(12,2),
  currency        text,
  discount        numeric(12,2),
  sellable        jsonb,
  asked_at        timestamptz,
  answered_at     timestamptz,
  failed_at       timestamptz,
  manual_fallback boolean,
  error           text,
  state           text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN answered_at IS NOT NULL THEN 'ANSWERED'
         WHEN failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'ASKED' END) STORED
);
CREATE INDEX ON price_quote (sale_id, asked_at DESC);
CREATE INDEX ON price_quote (customer_id, asked_at DESC);
CREATE INDEX ON price_quote (state, asked_at DESC);

COMMENT ON TABLE price_quote IS 'Prices that were asked for, one row a request.';
COMMENT ON COLUMN price_quote.customer_id IS 'Null: somebody unknown.';
COMMENT ON COLUMN price_quote.total IS 'What all items cost; null where that was not answered.';
COMMENT ON COLUMN price_quote.currency IS 'ISO 4217, three letters.';
COMMENT ON COLUMN price_quote.discount IS 'What the customer gets off; null where that was not answered.';
COMMENT ON COLUMN price_quote.sellable IS 'Whether products may be sold, by product_id; null where that was not answered.';
COMMENT ON COLUMN price_quote.answered_at IS 'When the last answer came.';
COMMENT ON COLUMN price_quote.manual_fallback IS 'Whether the till may type prices in; null unless it failed.';
COMMENT ON COLUMN price_quote.state IS 'ASKED, ANSWERED or FAILED.';

INSERT INTO price_quote (request_id, sale_id, customer_id, asked_at)
SELECT e.request_id, e.sale_id, e.customer_id, e._time FROM pricing.pricing_calculation_requested e
ON CONFLICT (request_id) DO UPDATE
SET sale_id = COALESCE(EXCLUDED.sale_id, price_quote.sale_id),
    customer_id = COALESCE(EXCLUDED.customer_id, price_quote.customer_id),
    asked_at = LEAST(price_quote.asked_at, EXCLUDED.asked_at);

INSERT INTO price_quote (request_id, sale_id, total, currency, answered_at)
SELECT e.request_id, e.sale_id, e.total, e.currency, e._time FROM pricing.pricing_calculated e
ON CONFLICT (request_id) DO UPDATE
SET sale_id = COALESCE(EXCLUDED.sale_id, price_quote.sale_id), total = EXCLUDED.total, currency = EXCLUDED.currency,
    answered_at = EXCLUDED.answered_at;

INSERT INTO price_quote (request_id, sale_id, customer_id, asked_at)
SELECT e.request_id, e.sale_id, e.customer_id, e._time FROM pricing.benefits_application_requested e
ON CONFLICT (request_id) DO UPDATE
SET sale_id = COALESCE(EXCLUDED.sale_id, price_quote.sale_id), customer_id = EXCLUDED.customer_id,
    asked_at = LEAST(price_quote.asked_at, EXCLUDED.asked_at);

INSERT INTO price_quote (request_id, sale_id, discount, answered_at)
SELECT e.request_id, e.sale_id, e.discount_total, e._time FROM pricing.benefits_applied e
ON CONFLICT (request_id) DO UPDATE
SET sale_id = COALESCE(EXCLUDED.sale_id, price_quote.sale_id), discount = EXCLUDED.discount,
    answered_at = EXCLUDED.answered_at;

INSERT INTO price_quote (request_id, sellable, answered_at)
SELECT e.request_id, e.products, e._time FROM pricing.products_validated e
ON CONFLICT (request_id) DO UPDATE SET sellable = EXCLUDED.sellable, answered_at = EXCLUDED.answered_at;

-- The till. Whose sale it is, it says only where pricing has not.

INSERT INTO price_quote (request_id, sale_id, failed_at, manual_fallback, error)
SELECT e.sale_id, e.sale_id, e._time, e.fallback_to_manual_pricing, e.error_details
FROM pos.pricing_calculation_failed e
ON CONFLICT (request_id) DO UPDATE
SET sale_id = COALESCE(price_quote.sale_id, EXCLUDED.sale_id), failed_at = EXCLUDED.failed_at,
    manual_fallback = EXCLUDED.manual_fallback, error = EXCLUDED.error;

-- For the tills.

GRANT SELECT ON price_quote TO staff, admin;
