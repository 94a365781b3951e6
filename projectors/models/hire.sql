-- Who was hired, for what, and at what price.
--
-- Hires and employment contracts come on two topics, in any order, so each writes columns of its own. A contract
-- without a hire stands here with nothing but its own id.

CREATE TABLE hire (
  hiring_id              uuid PRIMARY KEY,
  partner_id             uuid,
  candidate_id           uuid,
  job_id                 uuid,
  title                  text,
  department             text,
  start_date             date,
  type                   text,
  salary                 numeric(12,2),
  currency               text,
  cost                   numeric(12,2),
  time_to_hire           int,
  employment_contract_id uuid,
  contract_created_at    timestamptz
);
CREATE INDEX ON hire (partner_id, start_date DESC);
CREATE INDEX ON hire (start_date DESC);
CREATE INDEX ON hire (job_id);

COMMENT ON TABLE hire IS 'People who were hired, one row each time.';
COMMENT ON COLUMN hire.partner_id IS 'Null, as all up to time_to_hire, while only the employment contract is known.';
COMMENT ON COLUMN hire.start_date IS 'The first day of work.';
COMMENT ON COLUMN hire.type IS 'PERMANENT, CONTRACT or INTERNSHIP.';
COMMENT ON COLUMN hire.salary IS 'What a year pays.';
COMMENT ON COLUMN hire.currency IS 'Of salary and cost: ISO 4217, three letters.';
COMMENT ON COLUMN hire.cost IS 'What finding them cost.';
COMMENT ON COLUMN hire.time_to_hire IS 'Days.';
COMMENT ON COLUMN hire.employment_contract_id IS 'Null until the contract is there.';

INSERT INTO hire (hiring_id, partner_id, candidate_id, job_id, title, department, start_date, type, salary, currency,
                  cost, time_to_hire)
SELECT e.hiring_id, e.partner_id, e.candidate_id, e.job_id, e.job_title, e.department, e.start_date, e.employment_type,
       e.agreed_salary, e.currency, e.recruitment_cost, e.time_to_hire
FROM recruitment.candidate_hired e
ON CONFLICT (hiring_id) DO UPDATE
SET partner_id = EXCLUDED.partner_id, candidate_id = EXCLUDED.candidate_id, job_id = EXCLUDED.job_id,
    title = EXCLUDED.title, department = EXCLUDED.department, start_date = EXCLUDED.start_date, type = EXCLUDED.type,
    salary = EXCLUDED.salary, currency = EXCLUDED.currency, cost = EXCLUDED.cost, time_to_hire = EXCLUDED.time_to_hire;

INSERT INTO hire (hiring_id, employment_contract_id, contract_created_at)
SELECT e.hiring_id, e.contract_id, e.created_at FROM onboarding.employment_contract_created e
ON CONFLICT (hiring_id) DO UPDATE
SET employment_contract_id = EXCLUDED.employment_contract_id, contract_created_at = EXCLUDED.contract_created_at;

-- Partners see their own hires. What people earn is nobody else's business.

GRANT SELECT ON hire TO partner, recruiter, admin;
CREATE POLICY own ON hire FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON hire FOR SELECT TO recruiter, admin USING (true);
