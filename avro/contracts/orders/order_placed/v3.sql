SELECT total_amount AS amount FROM v2;
