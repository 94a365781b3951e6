-- How a campaign does: its newest period on one row, and all reports beside it.
--
-- A report of an older period that comes late is kept, and does not take the newer one's place.

CREATE TABLE campaign_performance (
  campaign_id uuid PRIMARY KEY,
  partner_id  uuid NOT NULL,
  report_id   uuid NOT NULL,
  period_from date NOT NULL,
  period_to   date NOT NULL,
  summary     jsonb NOT NULL,
  kpis        jsonb NOT NULL,
  roi         jsonb NOT NULL,
  engagement  jsonb NOT NULL
);
CREATE INDEX ON campaign_performance (partner_id, period_to DESC);

COMMENT ON TABLE campaign_performance IS 'How campaigns did in their newest period, one row a campaign.';
COMMENT ON COLUMN campaign_performance.report_id IS 'Of the report that says so.';
COMMENT ON COLUMN campaign_performance.period_from IS 'The first day.';
COMMENT ON COLUMN campaign_performance.period_to IS 'The last day.';
COMMENT ON COLUMN campaign_performance.summary IS 'By name, such as impressions.';
COMMENT ON COLUMN campaign_performance.kpis IS 'Shares of what was aimed at, by name.';

CREATE TABLE report (
  report_id   uuid PRIMARY KEY,
  campaign_id uuid NOT NULL,
  partner_id  uuid NOT NULL,
  period_from date NOT NULL,
  period_to   date NOT NULL,
  summary     jsonb NOT NULL,
  kpis        jsonb NOT NULL,
  roi         jsonb NOT NULL,
  engagement  jsonb NOT NULL,
  comparisons jsonb NOT NULL,
  trend       jsonb NOT NULL,
  insights    jsonb NOT NULL,
  risks       jsonb NOT NULL
);
CREATE INDEX ON report (campaign_id, period_to DESC);
CREATE INDEX ON report (partner_id, period_to DESC);

COMMENT ON TABLE report IS 'How campaigns did, one row a report.';
COMMENT ON COLUMN report.comparisons IS 'Against the period before (period) and against others of its kind (benchmark), by name.';
COMMENT ON COLUMN report.insights IS 'In words, as a list; campaign_advice has them as rows.';
COMMENT ON COLUMN report.risks IS 'In words, as a list.';

INSERT INTO report (report_id, campaign_id, partner_id, period_from, period_to, summary, kpis, roi, engagement,
                    comparisons, trend, insights, risks)
SELECT e.report_id, e.campaign_id, e.partner_id, (e.reporting_period ->> 'from')::date,
       (e.reporting_period ->> 'to')::date, e.performance_summary, e.kpi_achievements, e.roi_metrics,
       e.engagement_metrics,
       jsonb_build_object('period', e.period_comparison, 'benchmark', e.benchmark_comparison), e.trend_analysis,
       e.performance_insights, e.risk_indicators
FROM campaigns.campaign_performance_report e
ON CONFLICT (report_id) DO NOTHING;

INSERT INTO campaign_performance (campaign_id, partner_id, report_id, period_from, period_to, summary, kpis, roi,
                                  engagement)
SELECT e.campaign_id, e.partner_id, e.report_id, (e.reporting_period ->> 'from')::date,
       (e.reporting_period ->> 'to')::date, e.performance_summary, e.kpi_achievements, e.roi_metrics,
       e.engagement_metrics
FROM campaigns.campaign_performance_report e
ON CONFLICT (campaign_id) DO UPDATE
SET report_id = EXCLUDED.report_id, period_from = EXCLUDED.period_from, period_to = EXCLUDED.period_to,
    summary = EXCLUDED.summary, kpis = EXCLUDED.kpis, roi = EXCLUDED.roi, engagement = EXCLUDED.engagement
WHERE EXCLUDED.period_to >= campaign_performance.period_to;

-- Partners see their own campaigns.

GRANT SELECT ON campaign_performance TO partner, staff, admin;
CREATE POLICY own ON campaign_performance FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON campaign_performance FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON report TO partner, staff, admin;
CREATE POLICY own ON report FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON report FOR SELECT TO staff, admin USING (true);
