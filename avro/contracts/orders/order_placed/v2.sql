SELECT 'USD' AS currency, 'credit_card' AS payment_method FROM v1;
