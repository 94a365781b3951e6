SELECT start_date::date AS start_date,
       NULLIF(agreed_salary, 'NaN')::numeric(12,2) AS agreed_salary,
       NULLIF(recruitment_cost, 'NaN')::numeric(12,2) AS recruitment_cost
FROM v1;
