-- Each model that somebody runs, or ran until just now: whoever leaves takes its rows of vitrina.worker away, so a model
-- without any was taken out of service. Where nobody runs anything, every model counts. The worst state speaks.
WITH running AS (
    SELECT * FROM vitrina.worker WHERE updated_at > now() - interval '10 seconds'
)
SELECT model, r.state, r.lag_ms,
       coalesce(r.errors, 0) AS errors,
       coalesce(r.events, 0) AS events,
       (SELECT count(*) FROM (SELECT FROM vitrina.parked p JOIN vitrina.model m ON m.model = p.model AND m.live = p.generation
                              WHERE p.model = judged.model LIMIT $1::int8) counted) AS parked
FROM (
    SELECT model FROM vitrina.worker
    UNION SELECT model FROM vitrina.model WHERE NOT EXISTS (SELECT FROM vitrina.worker)
) judged
LEFT JOIN (
    SELECT model, max(lag_ms) AS lag_ms, sum(recent_errors)::int8 AS errors, sum(recent_events)::int8 AS events,
           (array_agg(state ORDER BY array_position(
               ARRAY['stopped', 'breaker_open', 'waiting', 'paused', 'catching_up', 'live', 'starting'], state)))[1] AS state
    FROM running GROUP BY model
) r USING (model)
ORDER BY model
