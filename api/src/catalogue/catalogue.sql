-- Every table and view of every model's live generation, one JSON object a row. The model's helpers (`_…`) and what the
-- generation keeps for itself (`@…`) are not served.
-- An index counts where ORDER BY on its columns can walk it: whole, valid, btree, plain columns, and comparing as the
-- columns themselves do (default operator class, the column's own collation).
-- A partition's end is what a worker said within the last ten seconds; without it nothing is known of what is behind.
WITH heard AS (
    SELECT * FROM vitrina.worker WHERE updated_at > now() - interval '10 seconds'
), log AS (
    SELECT h.model, h.generation, json_build_object(
        'ends', (
            SELECT coalesce(json_agg(e), '[]') FROM (
                SELECT e.topic, e.partition, max(e."end") AS "end",
                       floor(extract(epoch FROM max(w.updated_at)) * 1000)::int8 AS seen_ms
                FROM heard w
                CROSS JOIN LATERAL jsonb_to_recordset(w.partitions) AS e(topic text, partition int4, "end" int8)
                WHERE w.model = h.model AND w.generation = h.generation
                GROUP BY e.topic, e.partition) e),
        'lag_ms', CASE WHEN NOT bool_or(h.lag_ms IS NULL AND h.partitions <> '[]') THEN max(h.lag_ms) END) AS log
    FROM heard h GROUP BY h.model, h.generation
)
SELECT json_build_object(
    'name', CASE WHEN c.relname = m.model THEN m.model ELSE m.model || '.' || c.relname END,
    'model', m.model,
    'generation', m.live,
    'serial', g.serial,
    'schema', quote_ident(n.nspname),
    'relation', format('%I.%I', n.nspname, c.relname),
    'table', quote_ident(c.relname),
    'is_view', c.relkind = 'v',
    'comment', obj_description(c.oid, 'pg_class'),
    'rights', (SELECT json_agg(r.rights -> c.relname ORDER BY r.generation) FROM vitrina.rights r
               WHERE r.model = m.model AND r.generation IN (0, m.live)),
    'columns', (
        SELECT coalesce(json_agg(json_build_object(
            'name', a.attname,
            'quoted', quote_ident(a.attname),
            'display', format_type(a.atttypid, a.atttypmod),
            'cast', format_type(a.atttypid, -1),
            'nullable', NOT a.attnotnull,
            'textual', t.typcategory = 'S',
            -- A domain has its base type's category; of an array or a range, it is the element that counts.
            'temporal', t.typcategory = 'D' OR format_type(a.atttypid, -1) ~ '^(date|time|ts).*(range|\[\])$',
            -- Values that its order takes for equal are the same text; 1.0 and 1.00, or 0 and -0, would not be.
            'exact', t.typtype = 'e' OR t.typnamespace = 'pg_catalog'::regnamespace AND (
                t.typname IN ('bool', 'int2', 'int4', 'int8', 'date', 'time', 'timestamp', 'timestamptz', 'uuid', 'bytea')
                OR t.typname IN ('text', 'varchar') AND coalesce(l.collisdeterministic, true)),
            -- Comparing its values may fail, and so may tell of a row that is not read: another type's than Postgres's own, areas
            -- too large for a number, a text in json that no text of Postgres is, a collation by which patterns do not match.
            'fallible', e.typtype <> 'e' AND e.typnamespace <> 'pg_catalog'::regnamespace
                        OR e.typname = 'json' OR e.typcategory = 'G'
                        OR NOT coalesce(l.collisdeterministic, true),
            'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum), '[]')
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        -- Of a domain what it is over, of an array what it holds.
        JOIN pg_type e ON e.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'indexes', (
        SELECT coalesce(json_agg(json_build_object('primary', i.indisprimary, 'columns', k.columns)
                                 ORDER BY i.indisprimary DESC, i.indexrelid), '[]')
        FROM pg_index i
        JOIN pg_class ic ON ic.oid = i.indexrelid
        JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
        CROSS JOIN LATERAL (
            SELECT json_agg(json_build_object(
                       'column', a.attname,
                       'descending', i.indoption[k.n] & 1 = 1,
                       'nulls_first', i.indoption[k.n] & 2 = 2) ORDER BY k.n) AS columns,
                   bool_and(o.opcdefault AND i.indcollation[k.n] = a.attcollation) AS plain
            FROM generate_series(0, i.indnkeyatts - 1) AS k(n)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n]
            JOIN pg_opclass o ON o.oid = i.indclass[k.n]) k
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.plain),
    'log', coalesce(l.log, '{"ends": [], "lag_ms": null}')
)::text
FROM vitrina.model m
JOIN vitrina.generation g ON g.model = m.model AND g.generation = m.live
JOIN pg_namespace n ON n.nspname = m.model || '@' || m.live
JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'v') AND left(c.relname, 1) NOT IN ('_', '@')
LEFT JOIN log l ON l.model = m.model AND l.generation = m.live
