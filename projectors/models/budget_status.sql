-- How a campaign spends its budget, as last told, and every alert beside it. Amounts are in the campaign's currency,
-- which alerts do not say: a partner who has campaigns in several is not to be summed. An alert counts once, whatever
-- repeats it.

CREATE TABLE budget_status (
  campaign_id    uuid PRIMARY KEY,
  partner_id     uuid NOT NULL,
  alert_type     text NOT NULL,
  threshold      numeric(6,2) NOT NULL,
  spend          numeric(12,2) NOT NULL,
  budget         numeric(12,2) NOT NULL,
  projected      numeric(12,2) NOT NULL,
  days_remaining int NOT NULL,
  burn_rate      numeric(12,2) NOT NULL,
  last_alert_at  timestamptz NOT NULL
);
CREATE INDEX ON budget_status (partner_id, last_alert_at DESC);
CREATE INDEX ON budget_status (alert_type, last_alert_at DESC);

COMMENT ON TABLE budget_status IS 'How campaigns spend their budgets, one row a campaign that there was an alert of.';
COMMENT ON COLUMN budget_status.alert_type IS 'WARNING, CRITICAL or EXHAUSTED.';
COMMENT ON COLUMN budget_status.threshold IS 'What was reached, per cent of the budget.';
COMMENT ON COLUMN budget_status.projected IS 'What will have been spent at the campaign''s end, if it goes on like this.';
COMMENT ON COLUMN budget_status.burn_rate IS 'What is spent a day.';

CREATE TABLE alert (
  alert_id    uuid PRIMARY KEY,
  campaign_id uuid NOT NULL,
  partner_id  uuid NOT NULL,
  alert_type  text NOT NULL,
  spend       numeric(12,2) NOT NULL,
  budget      numeric(12,2) NOT NULL,
  recommended jsonb NOT NULL,
  taken       jsonb NOT NULL,
  at          timestamptz NOT NULL
);
CREATE INDEX ON alert (campaign_id, at DESC);
CREATE INDEX ON alert (partner_id, at DESC);
CREATE INDEX ON alert (alert_type, at DESC);

COMMENT ON TABLE alert IS 'Alerts of campaigns'' budgets, one row each.';
COMMENT ON COLUMN alert.recommended IS 'What somebody should do, as a list.';
COMMENT ON COLUMN alert.taken IS 'What was done by itself, as a list.';

CREATE VIEW partner_budget AS
SELECT b.partner_id, count(*) AS campaigns, count(*) FILTER (WHERE b.alert_type = 'EXHAUSTED') AS exhausted,
       sum(b.spend) AS spend, sum(b.budget) AS budget
FROM budget_status b GROUP BY b.partner_id;
COMMENT ON VIEW partner_budget IS 'How partners spend their budgets, one row a partner with an alert.';
COMMENT ON COLUMN partner_budget.campaigns IS 'Those that there was an alert of.';
COMMENT ON COLUMN partner_budget.exhausted IS 'Those of them that have spent everything.';

-- The alert has no moment of its own.

INSERT INTO budget_status (campaign_id, partner_id, alert_type, threshold, spend, budget, projected, days_remaining,
                           burn_rate, last_alert_at)
SELECT e.campaign_id, e.partner_id, e.alert_type, e.threshold_reached, e.current_spend, e.budget_limit,
       e.projected_spend, e.days_remaining, e.burn_rate, e._time
FROM campaigns.budget_alert e
ON CONFLICT (campaign_id) DO UPDATE
SET alert_type = EXCLUDED.alert_type, threshold = EXCLUDED.threshold, spend = EXCLUDED.spend,
    budget = EXCLUDED.budget, projected = EXCLUDED.projected, days_remaining = EXCLUDED.days_remaining,
    burn_rate = EXCLUDED.burn_rate, last_alert_at = EXCLUDED.last_alert_at;

INSERT INTO alert (alert_id, campaign_id, partner_id, alert_type, spend, budget, recommended, taken, at)
SELECT e.alert_id, e.campaign_id, e.partner_id, e.alert_type, e.current_spend, e.budget_limit, e.recommended_actions,
       e.automatic_actions_taken, e._time
FROM campaigns.budget_alert e
ON CONFLICT (alert_id) DO NOTHING;

-- Partners see their own campaigns.

GRANT SELECT ON budget_status TO partner, staff, admin;
CREATE POLICY own ON budget_status FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON budget_status FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON alert TO partner, staff, admin;
CREATE POLICY own ON alert FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON alert FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON partner_budget TO staff, admin;
