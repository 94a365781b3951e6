-- Who a user is, and what they want to be told.
--
-- A notification brings an id and nothing else: then there is a row that is not complete, until the details come. All
-- events of a user come in their order, so the last word counts.

CREATE TABLE user_profile (
  user_id       text PRIMARY KEY,
  email         text,
  first_name    text,
  last_name     text,
  location      jsonb,
  city          text,
  preferences   jsonb,
  registered_at timestamptz,
  updated_at    timestamptz,
  complete      boolean NOT NULL GENERATED ALWAYS AS (email IS NOT NULL) STORED
);
CREATE INDEX ON user_profile (email);
CREATE INDEX ON user_profile (city, registered_at DESC);

COMMENT ON TABLE user_profile IS 'Users, one row each.';
COMMENT ON COLUMN user_profile.user_id IS 'What other views call customer_id.';
COMMENT ON COLUMN user_profile.location IS 'The whole address.';
COMMENT ON COLUMN user_profile.city IS 'As last told, with an address or by itself.';
COMMENT ON COLUMN user_profile.preferences IS 'notifications, newsletter, product_categories, delivery_radius in kilometres.';
COMMENT ON COLUMN user_profile.registered_at IS 'Null until the registration''s details are known.';
COMMENT ON COLUMN user_profile.updated_at IS 'When something of it last changed; null if nothing has.';
COMMENT ON COLUMN user_profile.complete IS 'Whether more than the id is known.';

INSERT INTO user_profile (user_id) SELECT e.user_id FROM users.user_registered_notification e
ON CONFLICT (user_id) DO NOTHING;

INSERT INTO user_profile (user_id, email, first_name, last_name, location, city, preferences, registered_at)
SELECT e.user_id, e.email, e.first_name, e.last_name, e.location, e.location ->> 'city', e.preferences, e.registered_at
FROM users.user_registered e
ON CONFLICT (user_id) DO UPDATE
SET email = EXCLUDED.email, first_name = EXCLUDED.first_name, last_name = EXCLUDED.last_name,
    location = EXCLUDED.location, city = EXCLUDED.city, preferences = EXCLUDED.preferences,
    registered_at = EXCLUDED.registered_at;

-- A profile's update tells only what changed, under the names that the writer's language uses. Values come without
-- structure, so of an address it can tell the city alone.

INSERT INTO user_profile (user_id, email, first_name, last_name, city, updated_at)
SELECT e.user_id, e.new_values ->> 'email', COALESCE(e.new_values ->> 'first_name', e.new_values ->> 'firstName'),
       COALESCE(e.new_values ->> 'last_name', e.new_values ->> 'lastName'), e.new_values ->> 'city', e.updated_at
FROM users.user_profile_updated e
ON CONFLICT (user_id) DO UPDATE
SET email = COALESCE(EXCLUDED.email, user_profile.email),
    first_name = COALESCE(EXCLUDED.first_name, user_profile.first_name),
    last_name = COALESCE(EXCLUDED.last_name, user_profile.last_name),
    city = COALESCE(EXCLUDED.city, user_profile.city), updated_at = EXCLUDED.updated_at;

INSERT INTO user_profile (user_id, preferences, updated_at)
SELECT e.user_id, e.preferences, e.updated_at FROM users.user_preferences_changed e
ON CONFLICT (user_id) DO UPDATE SET preferences = EXCLUDED.preferences, updated_at = EXCLUDED.updated_at;

-- These details bear one name: up to its first space is the first name.

INSERT INTO user_profile (user_id, email, first_name, last_name, preferences, updated_at)
SELECT e.user_id, e.email, split_part(e.name, ' ', 1), substr(e.name, length(split_part(e.name, ' ', 1)) + 2),
       e.preferences, e.changed_at
FROM users.user_details_changed e
ON CONFLICT (user_id) DO UPDATE
SET email = EXCLUDED.email, first_name = EXCLUDED.first_name, last_name = EXCLUDED.last_name,
    preferences = COALESCE(EXCLUDED.preferences, user_profile.preferences), updated_at = EXCLUDED.updated_at;

-- Users see themselves.

GRANT SELECT ON user_profile TO customer, staff, admin;
CREATE POLICY own ON user_profile FOR SELECT TO customer USING (user_id = claim('sub'));
CREATE POLICY everything ON user_profile FOR SELECT TO staff, admin USING (true);
