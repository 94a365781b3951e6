-- Ten rows that every batch writes.
CREATE TABLE city (city text PRIMARY KEY, orders bigint NOT NULL, turnover numeric(14,2) NOT NULL);
INSERT INTO city (city, orders, turnover) SELECT e.ship_city, 1, e.amount FROM shop.order_changed e
ON CONFLICT (city) DO UPDATE SET orders = city.orders + EXCLUDED.orders, turnover = city.turnover + EXCLUDED.turnover;
