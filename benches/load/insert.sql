-- One order as a transaction of its own, which no other has written.
INSERT INTO orders VALUES (gen_random_uuid()::text, 'customer-' || (random() * 100000)::int, 'Amalia Hoffmann', 'PLACED', 12.34,
    'EUR', 1, now(), now(), 'bank_transfer', 'Via Nazionale 17, third floor', 'Torino', '10121', 'EU',
    'Please call before you come.');
