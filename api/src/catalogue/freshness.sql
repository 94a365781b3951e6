-- How far the live generation of the model `m` (a row of vitrina.model) has come; {schema} is that generation's.
-- A partition's end is what a worker said within the last ten seconds; without it nothing is known of what is behind.
SELECT p.position, p.parked_version, p.behind, l.lag_ms,
       to_char((CASE WHEN p.behind = 0 THEN p.seen_at ELSE p.moved_at END) AT TIME ZONE 'UTC',
               'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS as_of
FROM (
    SELECT string_agg(format('%s;p=%s;o=%s', topic, partition, next_offset - 1), ', '
                      ORDER BY topic COLLATE "C", partition) FILTER (WHERE next_offset > 0) AS position,
           sum(parked_version)::int8 AS parked_version,
           CASE WHEN bool_and("end" IS NOT NULL AND (next_offset IS NOT NULL OR "end" = 0))
                THEN sum(greatest("end" - coalesce(next_offset, 0), 0))::int8 END AS behind,
           min(seen_at) AS seen_at,
           max(moved_at) AS moved_at
    FROM (SELECT topic, partition, next_offset, parked_version, updated_at AS moved_at
          FROM {schema}."@position") reached
    FULL JOIN (
          SELECT e.topic, e.partition, max(e."end") AS "end", max(w.updated_at) AS seen_at
          FROM vitrina.worker w
          CROSS JOIN LATERAL jsonb_to_recordset(w.partitions) AS e(topic text, partition int4, "end" int8)
          WHERE w.model = m.model AND w.generation = m.live AND w.updated_at > now() - interval '10 seconds'
          GROUP BY e.topic, e.partition) log USING (topic, partition)
) p
CROSS JOIN (
    SELECT CASE WHEN NOT bool_or(lag_ms IS NULL AND partitions <> '[]') THEN max(lag_ms) END AS lag_ms
    FROM vitrina.worker
    WHERE model = m.model AND generation = m.live AND updated_at > now() - interval '10 seconds'
) l
