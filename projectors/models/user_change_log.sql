-- What users have changed in their profiles: who asks why a parcel went to the old address finds it here. A change by
-- somebody who has never registered stands here as well.

CREATE TABLE user_change_log (
  user_id        text,
  event_id       text,
  changed_fields jsonb NOT NULL,
  previous       jsonb NOT NULL,
  current        jsonb NOT NULL,
  at             timestamptz NOT NULL,
  -- The user belongs to the key: ids of events are told apart within a record key.
  PRIMARY KEY (user_id, event_id)
);
CREATE INDEX ON user_change_log (user_id, at DESC);

COMMENT ON TABLE user_change_log IS 'Changes of profiles, one row each.';
COMMENT ON COLUMN user_change_log.event_id IS 'The event''s id; where it has none, its place in the log.';
COMMENT ON COLUMN user_change_log.changed_fields IS 'Their names, as the writer has them, such as lastName.';
COMMENT ON COLUMN user_change_log.previous IS 'What they were, by name.';
COMMENT ON COLUMN user_change_log.current IS 'What they are, by name.';

INSERT INTO user_change_log (user_id, event_id, changed_fields, previous, current, at)
SELECT e.user_id, e._event_id, e.changed_fields, e.previous_values, e.new_values, e.updated_at
FROM users.user_profile_updated e
ON CONFLICT (user_id, event_id) DO NOTHING;

-- What people once wrote of themselves is for administrators.

GRANT SELECT ON user_change_log TO admin;
