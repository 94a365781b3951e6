-- Who was told of an error, level by level. The first telling of a level counts. A level without those below it stands
-- here as it came: somebody was woken too early.

CREATE TABLE escalation_history (
  error_id uuid,
  level    int,
  channel  text NOT NULL,
  source   text NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (error_id, level)
);
CREATE INDEX ON escalation_history (at DESC);

COMMENT ON TABLE escalation_history IS 'Who was told of errors, one row an error and level.';
COMMENT ON COLUMN escalation_history.level IS 'From 0: how far up.';
COMMENT ON COLUMN escalation_history.channel IS 'EMAIL, SLACK or PAGERDUTY.';
COMMENT ON COLUMN escalation_history.source IS 'The service that says so.';

INSERT INTO escalation_history (error_id, level, channel, source, at)
SELECT e.error_id, e.level, e.channel, e.source, e.escalated_at FROM system.error_escalated e
ON CONFLICT (error_id, level) DO NOTHING;

-- For administrators.

GRANT SELECT ON escalation_history TO admin;
