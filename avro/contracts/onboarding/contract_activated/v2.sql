SELECT effective_date::date AS effective_date, expiration_date::date AS expiration_date,
       (SELECT CASE WHEN bool_or(l.sum = 'NaN') THEN NULL
                    ELSE COALESCE(jsonb_object_agg(l.kind, l.sum::numeric(12,2)), '{}') END
        FROM jsonb_each_text(budget_limits) AS l(kind, sum)) AS budget_limits
FROM v1;
