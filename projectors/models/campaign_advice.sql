-- What was seen in a campaign and what would make it better, a line each, wherever it was told. What is told again by
-- another event stands here again.

CREATE TABLE campaign_advice (
  campaign_id uuid,
  event_id    text,
  kind        text,
  line_no     int,
  partner_id  uuid NOT NULL,
  advice      text NOT NULL,
  at          timestamptz NOT NULL,
  -- The campaign belongs to the key: ids of events are told apart within a record key.
  PRIMARY KEY (campaign_id, event_id, kind, line_no)
);
CREATE INDEX ON campaign_advice (campaign_id, at DESC);
CREATE INDEX ON campaign_advice (campaign_id, kind, at DESC);
CREATE INDEX ON campaign_advice (partner_id, at DESC);

COMMENT ON TABLE campaign_advice IS 'Insights, suggestions, risks and goals of campaigns, one row a line.';
COMMENT ON COLUMN campaign_advice.kind IS 'INSIGHT, SUGGESTION, RISK or GOAL.';
COMMENT ON COLUMN campaign_advice.line_no IS 'From 1, in the order in which they were told.';
COMMENT ON COLUMN campaign_advice.advice IS 'In words, for people.';
COMMENT ON COLUMN campaign_advice.at IS 'When it was told.';

-- A report has all kinds but one, and no moment of its own.

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'INSIGHT', l.line_no, e.partner_id, l.advice, e._time
FROM campaigns.campaign_performance_report e
CROSS JOIN jsonb_array_elements_text(e.performance_insights) WITH ORDINALITY AS l(advice, line_no)
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'SUGGESTION', l.line_no, e.partner_id, l.advice, e._time
FROM campaigns.campaign_performance_report e
CROSS JOIN jsonb_array_elements_text(e.optimization_suggestions) WITH ORDINALITY AS l(advice, line_no)
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'RISK', l.line_no, e.partner_id, l.advice, e._time
FROM campaigns.campaign_performance_report e
CROSS JOIN jsonb_array_elements_text(e.risk_indicators) WITH ORDINALITY AS l(advice, line_no)
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'INSIGHT', l.line_no, e.partner_id, l.advice, e.generated_at
FROM campaigns.campaign_insights e
CROSS JOIN jsonb_array_elements_text(e.insights) WITH ORDINALITY AS l(advice, line_no)
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'SUGGESTION', l.line_no, e.partner_id, l.advice, e.generated_at
FROM campaigns.optimization_suggestions e
CROSS JOIN jsonb_array_elements_text(e.suggestions) WITH ORDINALITY AS l(advice, line_no)
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

INSERT INTO campaign_advice (campaign_id, event_id, kind, line_no, partner_id, advice, at)
SELECT e.campaign_id, e._event_id, 'GOAL', 1, e.partner_id, e.goal || ': ' || e.value, e.achieved_at
FROM campaigns.goal_achieved e
ON CONFLICT (campaign_id, event_id, kind, line_no) DO NOTHING;

-- Partners see their own campaigns.

GRANT SELECT ON campaign_advice TO partner, staff, admin;
CREATE POLICY own ON campaign_advice FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON campaign_advice FOR SELECT TO staff, admin USING (true);
