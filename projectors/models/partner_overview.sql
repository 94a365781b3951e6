-- A partner on one row: who they are, how far their validation is, and the contract.
--
-- Registration and contracts come on two topics, in any order, so each writes columns of its own, and the status
-- follows from what has happened. A registration counts once: what repeats it changes nothing. A contract of somebody
-- who has not registered stands here as UNREGISTERED.

CREATE TABLE partner_overview (
  partner_id        uuid PRIMARY KEY,
  business_name     text,
  email             text,
  partner_type      text,
  source            text,
  validation_status text,
  contract_id       uuid,
  contract_type     text,
  registered_at     timestamptz,
  validated_at      timestamptz,
  signed_at         timestamptz,
  activated_at      timestamptz,
  status            text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN registered_at IS NULL THEN 'UNREGISTERED'
         WHEN activated_at IS NOT NULL THEN 'VALIDATED'
         WHEN signed_at IS NOT NULL THEN 'SIGNED'
         ELSE 'REGISTERED' END) STORED
);
CREATE INDEX ON partner_overview (status, registered_at DESC);
CREATE INDEX ON partner_overview (partner_type, registered_at DESC);
CREATE INDEX ON partner_overview (registered_at DESC);

COMMENT ON TABLE partner_overview IS 'Partners, one row each.';
COMMENT ON COLUMN partner_overview.partner_type IS 'INDIVIDUAL, EMPRESA or STARTUP.';
COMMENT ON COLUMN partner_overview.source IS 'Where they registered: WEB, API or REFERRAL.';
COMMENT ON COLUMN partner_overview.validation_status IS 'PENDING, PARTIAL or COMPLETE, as last told.';
COMMENT ON COLUMN partner_overview.contract_id IS 'Of the contract that was last signed or activated; null before.';
COMMENT ON COLUMN partner_overview.contract_type IS 'STANDARD, PREMIUM or ENTERPRISE.';
COMMENT ON COLUMN partner_overview.validated_at IS 'When the partner was last looked through, with whatever result.';
COMMENT ON COLUMN partner_overview.status IS 'REGISTERED, SIGNED, VALIDATED once a contract is activated, or UNREGISTERED.';

-- Registration: the first one counts.

INSERT INTO partner_overview (partner_id, business_name, email, partner_type, source, validation_status, registered_at)
SELECT e.partner_id, e.business_name, e.email, e.partner_type, e.registration_source, e.validation_status,
       e.registration_timestamp
FROM partners.partner_registration_completed e
ON CONFLICT (partner_id) DO UPDATE
SET business_name = COALESCE(partner_overview.business_name, EXCLUDED.business_name),
    email = COALESCE(partner_overview.email, EXCLUDED.email),
    partner_type = COALESCE(partner_overview.partner_type, EXCLUDED.partner_type),
    source = COALESCE(partner_overview.source, EXCLUDED.source),
    validation_status = COALESCE(partner_overview.validation_status, EXCLUDED.validation_status),
    registered_at = COALESCE(partner_overview.registered_at, EXCLUDED.registered_at);

INSERT INTO partner_overview (partner_id, validation_status, validated_at)
SELECT e.partner_id, e.validation_status, e.validated_at FROM partners.partner_validation_completed e
ON CONFLICT (partner_id) DO UPDATE
SET validation_status = EXCLUDED.validation_status, validated_at = EXCLUDED.validated_at;

-- The contract: the last one counts. Its activation says no moment of its own.

INSERT INTO partner_overview (partner_id, contract_id, contract_type, signed_at)
SELECT e.partner_id, e.contract_id, e.contract_type, e.signed_at FROM onboarding.contract_signed e
ON CONFLICT (partner_id) DO UPDATE
SET contract_id = EXCLUDED.contract_id, contract_type = EXCLUDED.contract_type, signed_at = EXCLUDED.signed_at;

INSERT INTO partner_overview (partner_id, contract_id, contract_type, activated_at)
SELECT e.partner_id, e.contract_id, e.contract_type, e._time FROM onboarding.contract_activated e
ON CONFLICT (partner_id) DO UPDATE
SET contract_id = EXCLUDED.contract_id, contract_type = EXCLUDED.contract_type, activated_at = EXCLUDED.activated_at;

-- Partners see themselves.

GRANT SELECT ON partner_overview TO partner, staff, admin;
CREATE POLICY own ON partner_overview FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON partner_overview FOR SELECT TO staff, admin USING (true);
