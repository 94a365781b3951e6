-- What a partner has brought about: hires, contracts, reports and alerts, counted.
--
-- Helpers know the ids of what was counted, so nothing counts twice, whatever repeats it. Averages are kept as sum and
-- number, so that the order of events does not matter. Costs of different currencies are never added.

CREATE TABLE partner_metrics (
  partner_id          uuid PRIMARY KEY,
  successful_hires    bigint NOT NULL DEFAULT 0,
  time_to_hire_sum    bigint NOT NULL DEFAULT 0,
  contracts_activated bigint NOT NULL DEFAULT 0,
  reports             bigint NOT NULL DEFAULT 0,
  alerts              bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON partner_metrics (successful_hires DESC);

COMMENT ON TABLE partner_metrics IS 'What partners have brought about, one row a partner.';
COMMENT ON COLUMN partner_metrics.time_to_hire_sum IS 'Days, of all hires together. The view averages divides them.';
COMMENT ON COLUMN partner_metrics.reports IS 'Reports of the performance of campaigns.';
COMMENT ON COLUMN partner_metrics.alerts IS 'Alerts of campaigns'' budgets.';

CREATE TABLE recruitment_cost (
  partner_id uuid,
  currency   text,
  cost       numeric(18,2) NOT NULL DEFAULT 0,
  hires      bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (partner_id, currency)
);

COMMENT ON TABLE recruitment_cost IS 'What hiring has cost partners, one row a partner and currency.';
COMMENT ON COLUMN recruitment_cost.currency IS 'ISO 4217, three letters.';

CREATE TABLE snapshot (
  partner_id uuid PRIMARY KEY,
  metrics    jsonb NOT NULL,
  taken_at   timestamptz NOT NULL
);

COMMENT ON TABLE snapshot IS 'Partners'' figures as last told, one row a partner.';
COMMENT ON COLUMN snapshot.metrics IS 'By name.';

CREATE TABLE _hire (hiring_id uuid PRIMARY KEY);
CREATE TABLE _contract (contract_id uuid PRIMARY KEY);
CREATE TABLE _report (report_id uuid PRIMARY KEY);
CREATE TABLE _alert (alert_id uuid PRIMARY KEY);

CREATE VIEW averages AS
SELECT m.partner_id, m.successful_hires,
       round(m.time_to_hire_sum::numeric / NULLIF(m.successful_hires, 0), 1) AS days_to_hire
FROM partner_metrics m;
COMMENT ON VIEW averages IS 'Partners'' averages, one row a partner.';
COMMENT ON COLUMN averages.days_to_hire IS 'On the average; null before the first hire.';

-- Each is counted first, while the helper still says that it was not.

INSERT INTO partner_metrics (partner_id, successful_hires, time_to_hire_sum)
SELECT e.partner_id, 1, e.time_to_hire FROM recruitment.candidate_hired e
WHERE NOT EXISTS (SELECT 1 FROM _hire c WHERE c.hiring_id = e.hiring_id)
ON CONFLICT (partner_id) DO UPDATE
SET successful_hires = partner_metrics.successful_hires + EXCLUDED.successful_hires,
    time_to_hire_sum = partner_metrics.time_to_hire_sum + EXCLUDED.time_to_hire_sum;

INSERT INTO recruitment_cost (partner_id, currency, cost, hires)
SELECT e.partner_id, e.currency, e.recruitment_cost, 1 FROM recruitment.candidate_hired e
WHERE NOT EXISTS (SELECT 1 FROM _hire c WHERE c.hiring_id = e.hiring_id)
ON CONFLICT (partner_id, currency) DO UPDATE
SET cost = recruitment_cost.cost + EXCLUDED.cost, hires = recruitment_cost.hires + EXCLUDED.hires;

INSERT INTO _hire (hiring_id) SELECT e.hiring_id FROM recruitment.candidate_hired e
ON CONFLICT (hiring_id) DO NOTHING;

INSERT INTO partner_metrics (partner_id, contracts_activated)
SELECT e.partner_id, 1 FROM onboarding.contract_activated e
WHERE NOT EXISTS (SELECT 1 FROM _contract c WHERE c.contract_id = e.contract_id)
ON CONFLICT (partner_id) DO UPDATE
SET contracts_activated = partner_metrics.contracts_activated + EXCLUDED.contracts_activated;

INSERT INTO _contract (contract_id) SELECT e.contract_id FROM onboarding.contract_activated e
ON CONFLICT (contract_id) DO NOTHING;

INSERT INTO partner_metrics (partner_id, reports)
SELECT e.partner_id, 1 FROM campaigns.campaign_performance_report e
WHERE NOT EXISTS (SELECT 1 FROM _report c WHERE c.report_id = e.report_id)
ON CONFLICT (partner_id) DO UPDATE SET reports = partner_metrics.reports + EXCLUDED.reports;

INSERT INTO _report (report_id) SELECT e.report_id FROM campaigns.campaign_performance_report e
ON CONFLICT (report_id) DO NOTHING;

INSERT INTO partner_metrics (partner_id, alerts)
SELECT e.partner_id, 1 FROM campaigns.budget_alert e
WHERE NOT EXISTS (SELECT 1 FROM _alert c WHERE c.alert_id = e.alert_id)
ON CONFLICT (partner_id) DO UPDATE SET alerts = partner_metrics.alerts + EXCLUDED.alerts;

INSERT INTO _alert (alert_id) SELECT e.alert_id FROM campaigns.budget_alert e
ON CONFLICT (alert_id) DO NOTHING;

INSERT INTO snapshot (partner_id, metrics, taken_at)
SELECT e.partner_id, e.metrics, e.taken_at FROM partners.partner_metrics_snapshot e
ON CONFLICT (partner_id) DO UPDATE SET metrics = EXCLUDED.metrics, taken_at = EXCLUDED.taken_at;

-- Partners see their own figures.

GRANT SELECT ON partner_metrics TO partner, staff, admin;
CREATE POLICY own ON partner_metrics FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON partner_metrics FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON recruitment_cost TO partner, staff, admin;
CREATE POLICY own ON recruitment_cost FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON recruitment_cost FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON snapshot TO partner, staff, admin;
CREATE POLICY own ON snapshot FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON snapshot FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON averages TO staff, admin;
