-- Contracts with partners, from the first draft to the last day.
--
-- All steps of a partner come in their order. A contract that is activated without having been signed stands here
-- without the moment of its signature, for somebody to ask why.

CREATE TABLE contract (
  contract_id     uuid PRIMARY KEY,
  partner_id      uuid NOT NULL,
  type            text NOT NULL,
  drawn_up_at     timestamptz,
  signed_at       timestamptz,
  signed_by       text,
  activated_at    timestamptz,
  effective_date  date,
  expiration_date date,
  permissions     jsonb,
  budget_limits   jsonb,
  feature_flags   jsonb,
  sla             jsonb,
  commission      jsonb,
  payment_terms   jsonb
);
CREATE INDEX ON contract (partner_id, signed_at DESC);
CREATE INDEX ON contract (expiration_date);

COMMENT ON TABLE contract IS 'Contracts with partners, one row each.';
COMMENT ON COLUMN contract.type IS 'STANDARD, PREMIUM or ENTERPRISE.';
COMMENT ON COLUMN contract.drawn_up_at IS 'When it was asked for.';
COMMENT ON COLUMN contract.activated_at IS 'When it was said to hold; null before, as are all columns after it.';
COMMENT ON COLUMN contract.effective_date IS 'The first day.';
COMMENT ON COLUMN contract.expiration_date IS 'The last day.';
COMMENT ON COLUMN contract.permissions IS 'What the partner may do with campaigns, as a list.';
COMMENT ON COLUMN contract.budget_limits IS 'By kind of budget.';
COMMENT ON COLUMN contract.feature_flags IS 'By name.';

CREATE VIEW status AS
SELECT c.contract_id, c.partner_id, c.effective_date, c.expiration_date,
       CASE WHEN c.activated_at IS NULL AND c.signed_at IS NULL THEN 'DRAFT'
            WHEN c.activated_at IS NULL THEN 'SIGNED'
            WHEN (now() AT TIME ZONE 'UTC')::date > c.expiration_date THEN 'EXPIRED'
            WHEN (now() AT TIME ZONE 'UTC')::date < c.effective_date THEN 'COMING'
            ELSE 'ACTIVE' END AS status
FROM contract c;
COMMENT ON VIEW status IS 'How contracts stand today, one row each.';
COMMENT ON COLUMN status.status IS 'DRAFT, SIGNED, COMING, ACTIVE or EXPIRED; days are UTC''s.';

INSERT INTO contract (contract_id, partner_id, type, drawn_up_at)
SELECT e.contract_id, e.partner_id, e.contract_type, e._time FROM onboarding.create_contract e
ON CONFLICT (contract_id) DO UPDATE
SET drawn_up_at = LEAST(contract.drawn_up_at, EXCLUDED.drawn_up_at);

INSERT INTO contract (contract_id, partner_id, type, signed_at, signed_by)
SELECT e.contract_id, e.partner_id, e.contract_type, e.signed_at, e.signed_by FROM onboarding.contract_signed e
ON CONFLICT (contract_id) DO UPDATE
SET type = EXCLUDED.type, signed_at = EXCLUDED.signed_at, signed_by = EXCLUDED.signed_by;

INSERT INTO contract (contract_id, partner_id, type, activated_at, effective_date, expiration_date, permissions,
                      budget_limits, feature_flags, sla, commission, payment_terms)
SELECT e.contract_id, e.partner_id, e.contract_type, e._time, e.effective_date, e.expiration_date,
       e.campaign_permissions, e.budget_limits, e.feature_flags, e.sla_terms, e.commission_structure, e.payment_terms
FROM onboarding.contract_activated e
ON CONFLICT (contract_id) DO UPDATE
SET type = EXCLUDED.type, activated_at = EXCLUDED.activated_at, effective_date = EXCLUDED.effective_date,
    expiration_date = EXCLUDED.expiration_date, permissions = EXCLUDED.permissions,
    budget_limits = EXCLUDED.budget_limits, feature_flags = EXCLUDED.feature_flags, sla = EXCLUDED.sla,
    commission = EXCLUDED.commission, payment_terms = EXCLUDED.payment_terms;

-- Partners see their own contracts; what is paid is for them and administrators.

GRANT SELECT (contract_id, partner_id, type, drawn_up_at, signed_at, signed_by, activated_at, effective_date,
              expiration_date, permissions, feature_flags, sla)
ON contract TO staff;
GRANT SELECT ON contract TO partner, admin;
CREATE POLICY own ON contract FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON contract FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON status TO staff, admin;
