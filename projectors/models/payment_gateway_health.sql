-- How payment gateways do: what they got through, and how often they did not answer.
--
-- A payment counts once, whatever repeats it. A time-out has no name of its own: it counts once as long as its
-- repetition is within the model's window of duplicates.

CREATE TABLE payment_gateway_health (
  gateway         text PRIMARY KEY,
  succeeded       bigint NOT NULL DEFAULT 0,
  timeouts        bigint NOT NULL DEFAULT 0,
  last_timeout_at timestamptz
);

COMMENT ON TABLE payment_gateway_health IS 'How payment gateways do, one row each.';
COMMENT ON COLUMN payment_gateway_health.succeeded IS 'Payments that went through.';
COMMENT ON COLUMN payment_gateway_health.timeouts IS 'How often it did not answer in time.';
COMMENT ON COLUMN payment_gateway_health.last_timeout_at IS 'Null if it always has.';

CREATE TABLE _succeeded (payment_id text PRIMARY KEY);

INSERT INTO payment_gateway_health (gateway, succeeded)
SELECT e.gateway, 1 FROM payments.payment_succeeded e
WHERE NOT EXISTS (SELECT 1 FROM _succeeded s WHERE s.payment_id = e.payment_id)
ON CONFLICT (gateway) DO UPDATE SET succeeded = payment_gateway_health.succeeded + EXCLUDED.succeeded;

INSERT INTO _succeeded (payment_id) SELECT e.payment_id FROM payments.payment_succeeded e
ON CONFLICT (payment_id) DO NOTHING;

INSERT INTO payment_gateway_health (gateway, timeouts, last_timeout_at)
SELECT e.gateway_name, 1, e._time FROM system.payment_gateway_timeout e
ON CONFLICT (gateway) DO UPDATE
SET timeouts = payment_gateway_health.timeouts + EXCLUDED.timeouts,
    last_timeout_at = GREATEST(payment_gateway_health.last_timeout_at, EXCLUDED.last_timeout_at);

-- For the desk.

GRANT SELECT ON payment_gateway_health TO staff, admin;
