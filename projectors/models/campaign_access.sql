-- Whether a partner may create campaigns, and with what limits. Two things must have happened: the partner's validation
-- is complete, and a contract was activated. They come on two topics, in any order.
--
-- A later validation that is not complete takes the access away.

CREATE TABLE campaign_access (
  partner_id      uuid PRIMARY KEY,
  validated_at    timestamptz,
  contract_id     uuid,
  effective_date  date,
  expiration_date date,
  permissions     jsonb,
  budget_limits   jsonb,
  feature_flags   jsonb,
  enabled         boolean NOT NULL GENERATED ALWAYS AS (
    validated_at IS NOT NULL AND contract_id IS NOT NULL) STORED
);
CREATE INDEX ON campaign_access (enabled, expiration_date);

COMMENT ON TABLE campaign_access IS 'Who may create campaigns, one row a partner.';
COMMENT ON COLUMN campaign_access.validated_at IS 'When the partner''s validation was complete; null while it is not.';
COMMENT ON COLUMN campaign_access.contract_id IS 'Of the contract that was last activated; null before the first.';
COMMENT ON COLUMN campaign_access.effective_date IS 'The contract''s first day.';
COMMENT ON COLUMN campaign_access.expiration_date IS 'The contract''s last day.';
COMMENT ON COLUMN campaign_access.permissions IS 'As a list, such as create or boost.';
COMMENT ON COLUMN campaign_access.budget_limits IS 'By kind of budget.';
COMMENT ON COLUMN campaign_access.enabled IS 'Whether both have happened. Whether the contract holds today is told by today.';

CREATE VIEW today AS
SELECT a.partner_id, a.permissions, a.budget_limits, a.feature_flags FROM campaign_access a
WHERE a.enabled AND (now() AT TIME ZONE 'UTC')::date BETWEEN a.effective_date AND a.expiration_date;
COMMENT ON VIEW today IS 'Partners who may create campaigns today; days are UTC''s.';

INSERT INTO campaign_access (partner_id, validated_at)
SELECT e.partner_id, CASE WHEN e.validation_status = 'COMPLETE' THEN e.validated_at END
FROM partners.partner_validation_completed e
ON CONFLICT (partner_id) DO UPDATE SET validated_at = EXCLUDED.validated_at;

INSERT INTO campaign_access (partner_id, contract_id, effective_date, expiration_date, permissions, budget_limits,
                             feature_flags)
SELECT e.partner_id, e.contract_id, e.effective_date, e.expiration_date, e.campaign_permissions, e.budget_limits,
       e.feature_flags
FROM onboarding.contract_activated e
ON CONFLICT (partner_id) DO UPDATE
SET contract_id = EXCLUDED.contract_id, effective_date = EXCLUDED.effective_date,
    expiration_date = EXCLUDED.expiration_date, permissions = EXCLUDED.permissions,
    budget_limits = EXCLUDED.budget_limits, feature_flags = EXCLUDED.feature_flags;

-- Partners see their own access.

GRANT SELECT ON campaign_access TO partner, staff, admin;
CREATE POLICY own ON campaign_access FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON campaign_access FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON today TO staff, admin;
