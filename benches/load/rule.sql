-- One row an event, the newest state of an order wins.
INSERT INTO orders (order_id, customer_id, customer_name, status, amount, currency, item_count, placed_at, event_at,
                    payment_method, ship_street, ship_city, ship_postcode, ship_country, note)
SELECT e.order_id, e.customer_id, e.customer_name, e.status, e.amount, e.currency, e.item_count, e.placed_at, e.event_at,
       e.payment_method, e.ship_street, e.ship_city, e.ship_postcode, e.ship_country, e.note
FROM shop.order_changed e
ON CONFLICT (order_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, customer_name = EXCLUDED.customer_name, status = EXCLUDED.status,
    amount = EXCLUDED.amount, currency = EXCLUDED.currency, item_count = EXCLUDED.item_count,
    placed_at = EXCLUDED.placed_at, event_at = EXCLUDED.event_at, payment_method = EXCLUDED.payment_method,
    ship_street = EXCLUDED.ship_street, ship_city = EXCLUDED.ship_city, ship_postcode = EXCLUDED.ship_postcode,
    ship_country = EXCLUDED.ship_country, note = EXCLUDED.note;
