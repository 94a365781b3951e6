-- Each model that somebody runs, or ran until just now: whoever leaves takes its rows of vitrina.worker away, so a model
-- without any was taken out of service. Where nobody runs anything, every model counts. A model whose file is gone is
-- nobody's to run. The worst state speaks.
WITH fed AS (
    SELECT * FROM vitrina.worker WHERE fed
)
SELECT model, r.state, CASE WHEN NOT r.unknown THEN r.lag_ms END AS lag_ms,
       CASE WHEN r.unknown THEN to_char(r.unknown_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS unknown_since,
       CASE WHEN r.unknown THEN extract(epoch FROM now() - r.unknown_since)::float8 END AS unknown_seconds,
       coalesce(r.errors, 0) AS errors, coalesce(r.events, 0) AS events
FROM (
    SELECT model FROM fed
    UNION SELECT model FROM vitrina.model WHERE NOT EXISTS (SELECT FROM vitrina.worker)
) judged
LEFT JOIN (
    -- An instance that owns no partition has no lag, and where none owns any, nobody knows it.
    SELECT model, max(lag_ms) AS lag_ms, max(unknown_since) AS unknown_since,
           bool_or(lag_ms IS NULL AND partitions <> '[]') OR bool_and(lag_ms IS NULL) AS unknown,
           sum(recent_errors)::int8 AS errors, sum(recent_events)::int8 AS events,
           (array_agg(state ORDER BY array_position(
               ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)))[1] AS state
    FROM fed WHERE updated_at > now() - interval '10 seconds' GROUP BY model
) r USING (model)
ORDER BY model
