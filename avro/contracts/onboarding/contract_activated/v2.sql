SELECT effective_date::date AS effective_date, expiration_date::date AS expiration_date,
       (SELECT COALESCE(jsonb_object_agg(l.kind, NULLIF(l.sum::numeric, 'NaN')::numeric(12,2)), '{}')
        FROM jsonb_each_text(budget_limits) AS l(kind, sum)) AS budget_limits
FROM v1;
