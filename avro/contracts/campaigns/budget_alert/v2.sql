SELECT NULLIF(threshold_reached, 'NaN')::numeric(6,2) AS threshold_reached,
       NULLIF(current_spend, 'NaN')::numeric(12,2) AS current_spend,
       NULLIF(budget_limit, 'NaN')::numeric(12,2) AS budget_limit,
       NULLIF(projected_spend, 'NaN')::numeric(12,2) AS projected_spend,
       NULLIF(burn_rate, 'NaN')::numeric(12,2) AS burn_rate
FROM v1;
