-- What goes wrong in the services: each error, how many there are a minute, and how soon they were over.
--
-- An error counts once, whatever repeats it. That it is over may be told before the error itself is, by another
-- service: then there is a row with nothing but that, and the error counts when it comes.

CREATE TABLE error_log (
  error_id           uuid PRIMARY KEY,
  source             text,
  type               text,
  severity           text,
  message            text,
  handler            text,
  rule_name          text,
  original_event_id  text,
  original_type      text,
  processing_time_ms double precision,
  retry_count        int,
  details            jsonb,
  stack_trace        text,
  at                 timestamptz,
  recovered_after_ms double precision
);
CREATE INDEX ON error_log (at DESC);
CREATE INDEX ON error_log (type, at DESC);
CREATE INDEX ON error_log (severity, at DESC);
CREATE INDEX ON error_log (handler, at DESC);
CREATE INDEX ON error_log (source, at DESC);

COMMENT ON TABLE error_log IS 'Errors of services, one row each.';
COMMENT ON COLUMN error_log.source IS 'The service that says so; null, as all up to at, while only its recovery is known.';
COMMENT ON COLUMN error_log.type IS 'Such as TIMEOUT, BUSINESS_RULE or SECURITY.';
COMMENT ON COLUMN error_log.severity IS 'LOW, MEDIUM, HIGH or CRITICAL.';
COMMENT ON COLUMN error_log.handler IS 'What was at work; null where that was not said.';
COMMENT ON COLUMN error_log.rule_name IS 'Of a BUSINESS_RULE: the one that was violated.';
COMMENT ON COLUMN error_log.original_event_id IS 'The event that was worked on.';
COMMENT ON COLUMN error_log.details IS 'By name; of a violated rule also its description and constraints, of a time-out its seconds.';
COMMENT ON COLUMN error_log.recovered_after_ms IS 'How long it took until it was over; null while it is not.';

CREATE TABLE bucket (
  minute   timestamptz,
  type     text,
  severity text,
  handler  text,
  n        bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (minute, type, severity, handler)
);

COMMENT ON TABLE bucket IS 'How many errors there are, one row a minute, type, severity and handler.';
COMMENT ON COLUMN bucket.handler IS 'Empty where it was not said.';

CREATE VIEW last_hour AS
SELECT b.type, b.severity, sum(b.n) AS errors, round(sum(b.n) / 60.0, 3) AS a_minute, max(b.minute) AS last_minute
FROM bucket b WHERE b.minute > now() - interval '60 minutes' GROUP BY b.type, b.severity;
COMMENT ON VIEW last_hour IS 'Errors of the last 60 minutes, one row a type and severity.';
COMMENT ON COLUMN last_hour.a_minute IS 'On the average.';

CREATE VIEW by_type AS
SELECT b.type, sum(b.n) AS errors, sum(b.n) FILTER (WHERE b.severity = 'CRITICAL') AS critical FROM bucket b
GROUP BY b.type;
COMMENT ON VIEW by_type IS 'All errors there ever were, one row a type.';

CREATE VIEW by_handler AS
SELECT b.handler, sum(b.n) AS errors, max(b.minute) AS last_minute FROM bucket b GROUP BY b.handler;
COMMENT ON VIEW by_handler IS 'All errors there ever were, one row a handler.';

-- Each is counted first, while the log still says that it was not. Errors have no moment of their own.

INSERT INTO bucket (minute, type, severity, handler, n)
SELECT date_trunc('minute', e._time), e.error_type, e.error_severity, COALESCE(e.handler_name, ''), 1
FROM system.error_occurred e
WHERE NOT EXISTS (SELECT 1 FROM error_log l WHERE l.error_id = e.error_id AND l.at IS NOT NULL)
ON CONFLICT (minute, type, severity, handler) DO UPDATE SET n = bucket.n + EXCLUDED.n;

INSERT INTO error_log (error_id, source, type, severity, message, handler, original_event_id, original_type,
                       processing_time_ms, retry_count, details, stack_trace, at)
SELECT e.error_id, e.source, e.error_type, e.error_severity, e.error_message, e.handler_name, e.original_event_id,
       e.original_event_type, e.processing_time_ms, e.retry_count, e.error_details, e.stack_trace, e._time
FROM system.error_occurred e
ON CONFLICT (error_id) DO UPDATE
SET source = EXCLUDED.source, type = EXCLUDED.type, severity = EXCLUDED.severity, message = EXCLUDED.message,
    handler = EXCLUDED.handler, original_event_id = EXCLUDED.original_event_id,
    original_type = EXCLUDED.original_type, processing_time_ms = EXCLUDED.processing_time_ms,
    retry_count = EXCLUDED.retry_count, details = EXCLUDED.details, stack_trace = EXCLUDED.stack_trace,
    at = COALESCE(error_log.at, EXCLUDED.at);

INSERT INTO bucket (minute, type, severity, handler, n)
SELECT date_trunc('minute', e._time), e.error_type, e.error_severity, e.handler_name, 1 FROM system.handler_timeout e
WHERE NOT EXISTS (SELECT 1 FROM error_log l WHERE l.error_id = e.error_id AND l.at IS NOT NULL)
ON CONFLICT (minute, type, severity, handler) DO UPDATE SET n = bucket.n + EXCLUDED.n;

INSERT INTO error_log (error_id, source, type, severity, message, handler, original_event_id, original_type,
                       processing_time_ms, retry_count, details, stack_trace, at)
SELECT e.error_id, e.source, e.error_type, e.error_severity, e.error_message, e.handler_name, e.original_event_id,
       e.original_event_type, e.processing_time_ms, e.retry_count,
       e.error_details || jsonb_build_object('timeout_seconds', e.timeout_seconds), e.stack_trace, e._time
FROM system.handler_timeout e
ON CONFLICT (error_id) DO UPDATE
SET source = EXCLUDED.source, type = EXCLUDED.type, severity = EXCLUDED.severity, message = EXCLUDED.message,
    handler = EXCLUDED.handler, original_event_id = EXCLUDED.original_event_id,
    original_type = EXCLUDED.original_type, processing_time_ms = EXCLUDED.processing_time_ms,
    retry_count = EXCLUDED.retry_count, details = EXCLUDED.details, stack_trace = EXCLUDED.stack_trace,
    at = COALESCE(error_log.at, EXCLUDED.at);

INSERT INTO bucket (minute, type, severity, handler, n)
SELECT date_trunc('minute', e._time), e.error_type, e.error_severity, COALESCE(e.handler_name, ''), 1
FROM system.business_rule_violation e
WHERE NOT EXISTS (SELECT 1 FROM error_log l WHERE l.error_id = e.error_id AND l.at IS NOT NULL)
ON CONFLICT (minute, type, severity, handler) DO UPDATE SET n = bucket.n + EXCLUDED.n;

INSERT INTO error_log (error_id, source, type, severity, message, handler, rule_name, original_event_id, original_type,
                       processing_time_ms, retry_count, details, stack_trace, at)
SELECT e.error_id, e.source, e.error_type, e.error_severity, e.error_message, e.handler_name, e.rule_name,
       e.original_event_id, e.original_event_type, e.processing_time_ms, e.retry_count,
       e.error_details || jsonb_build_object('rule_description', e.rule_description,
                                             'violated_constraints', e.violated_constraints),
       e.stack_trace, e._time
FROM system.business_rule_violation e
ON CONFLICT (error_id) DO UPDATE
SET source = EXCLUDED.source, type = EXCLUDED.type, severity = EXCLUDED.severity, message = EXCLUDED.message,
    handler = EXCLUDED.handler, rule_name = EXCLUDED.rule_name, original_event_id = EXCLUDED.original_event_id,
    original_type = EXCLUDED.original_type, processing_time_ms = EXCLUDED.processing_time_ms,
    retry_count = EXCLUDED.retry_count, details = EXCLUDED.details, stack_trace = EXCLUDED.stack_trace,
    at = COALESCE(error_log.at, EXCLUDED.at);

INSERT INTO error_log (error_id, recovered_after_ms)
SELECT e.error_id, e.recovery_time_ms FROM system.error_recovered e
ON CONFLICT (error_id) DO UPDATE SET recovered_after_ms = EXCLUDED.recovered_after_ms;

-- For administrators.

GRANT SELECT ON error_log, bucket, last_hour, by_type, by_handler TO admin;
