-- Each model that somebody runs, or ran until just now: whoever leaves takes its rows of vitrina.worker away, so a model
-- without any was taken out of service. Where nobody runs anything, every model counts. A model whose file is gone is
-- nobody's to run. The worst state speaks.
WITH fed AS (
    SELECT * FROM vitrina.worker WHERE fed
)
SELECT model, r.state, r.lag_ms, coalesce(r.errors, 0) AS errors, coalesce(r.events, 0) AS events
FROM (
    SELECT model FROM fed
    UNION SELECT model FROM vitrina.model WHERE NOT EXISTS (SELECT FROM vitrina.worker)
) judged
LEFT JOIN (
    SELECT model, max(lag_ms) AS lag_ms, sum(recent_errors)::int8 AS errors, sum(recent_events)::int8 AS events,
           (array_agg(state ORDER BY array_position(
               ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)))[1] AS state
    FROM fed WHERE updated_at > now() - interval '10 seconds' GROUP BY model
) r USING (model)
ORDER BY model
