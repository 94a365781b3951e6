-- A customer's points, and how they came about.
--
-- Accounts are opened by a registration, or by the first points, whichever comes first. An entry counts once, whatever
-- repeats it. Points that are taken away beyond what there is leave a balance below zero: the loyalty service has given
-- what it should not have.

CREATE TABLE loyalty (
  customer_id     text PRIMARY KEY,
  points          bigint NOT NULL DEFAULT 0,
  lifetime_points bigint NOT NULL DEFAULT 0,
  updated_at      timestamptz
);
CREATE INDEX ON loyalty (points DESC);

COMMENT ON TABLE loyalty IS 'Customers'' points, one row a customer.';
COMMENT ON COLUMN loyalty.points IS 'The balance.';
COMMENT ON COLUMN loyalty.lifetime_points IS 'All that were ever given.';
COMMENT ON COLUMN loyalty.updated_at IS 'When points were last given or taken away; null if never.';

CREATE TABLE entry (
  customer_id text,
  event_id    text,
  change      int NOT NULL,
  reason      text NOT NULL,
  order_id    text,
  at          timestamptz NOT NULL,
  -- The customer belongs to the key: ids of events are told apart within a record key.
  PRIMARY KEY (customer_id, event_id)
);
CREATE INDEX ON entry (customer_id, at DESC);
CREATE INDEX ON entry (order_id);

COMMENT ON TABLE entry IS 'Points given and taken away, one row each time.';
COMMENT ON COLUMN entry.change IS 'Negative: taken away.';
COMMENT ON COLUMN entry.order_id IS 'The order that they are for; null where there is none.';

INSERT INTO loyalty (customer_id) SELECT e.user_id FROM users.user_registered e ON CONFLICT (customer_id) DO NOTHING;

-- The sum first, while the entry is not there yet.

INSERT INTO loyalty (customer_id, points, lifetime_points, updated_at)
SELECT e.customer_id, e.points_change, GREATEST(e.points_change, 0), e.changed_at FROM loyalty.loyalty_points_updated e
WHERE NOT EXISTS (SELECT 1 FROM entry x WHERE x.customer_id = e.customer_id AND x.event_id = e._event_id)
ON CONFLICT (customer_id) DO UPDATE
SET points = loyalty.points + EXCLUDED.points,
    lifetime_points = loyalty.lifetime_points + EXCLUDED.lifetime_points,
    updated_at = GREATEST(loyalty.updated_at, EXCLUDED.updated_at);

INSERT INTO entry (customer_id, event_id, change, reason, order_id, at)
SELECT e.customer_id, e._event_id, e.points_change, e.reason, e.order_id, e.changed_at
FROM loyalty.loyalty_points_updated e
ON CONFLICT (customer_id, event_id) DO NOTHING;

-- Customers see their own points.

GRANT SELECT ON loyalty TO customer, staff, admin;
CREATE POLICY own ON loyalty FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON loyalty FOR SELECT TO staff, admin USING (true);
GRANT SELECT ON entry TO customer, staff, admin;
CREATE POLICY own ON entry FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON entry FOR SELECT TO staff, admin USING (true);
