-- Every event of every context, in order, for audits; and what each aggregate has come to.
--
-- An aggregate is what a record's key names within a context: an order, a product, a partner. Its events lie in one
-- partition, where offsets tell their order. A refund without a payment, or a lot that has expired, is told as it came:
-- a log does not judge. What does not decode is not here but parked.

CREATE TABLE event_log (
  topic          text,
  log_partition  int,
  log_offset     bigint,
  context        text NOT NULL,
  key            text,
  type           text NOT NULL,
  version        int NOT NULL,
  kind           text,
  event_id       text NOT NULL,
  at             timestamptz NOT NULL,
  correlation_id text,
  causation_id   text,
  payload        jsonb NOT NULL,
  PRIMARY KEY (topic, log_partition, log_offset)
);
CREATE INDEX ON event_log (context, key, log_partition, log_offset);
CREATE INDEX ON event_log (at DESC);
CREATE INDEX ON event_log (context, at DESC);
CREATE INDEX ON event_log (type, at DESC);
CREATE INDEX ON event_log (correlation_id, at);

COMMENT ON TABLE event_log IS 'Every event of every context, one row each.';
COMMENT ON COLUMN event_log.log_offset IS 'Its place in the partition: an aggregate''s events are in this order.';
COMMENT ON COLUMN event_log.key IS 'The record''s key: what the event is about; null where it is no text.';
COMMENT ON COLUMN event_log.type IS 'The event''s contract, such as orders.order_placed.';
COMMENT ON COLUMN event_log.version IS 'The version of the contract that it was written in.';
COMMENT ON COLUMN event_log.kind IS 'domain, integration, system or command.';
COMMENT ON COLUMN event_log.event_id IS 'The event''s id; where it has none, its place in the log.';
COMMENT ON COLUMN event_log.correlation_id IS 'What it belongs to, if its producer said so.';
COMMENT ON COLUMN event_log.causation_id IS 'The event that brought it about, if its producer said so.';
COMMENT ON COLUMN event_log.payload IS 'Its fields as the newest version of the contract has them, whatever it was written in.';

INSERT INTO event_log (topic, log_partition, log_offset, context, key, type, version, kind, event_id, at,
                       correlation_id, causation_id, payload)
SELECT e._topic, e._partition, e._offset, split_part(e._type, '.', 1), e._key, e._type, e._version, e._kind,
       e._event_id, e._time, e._correlation_id, e._causation_id, e._payload
FROM every.event e
ON CONFLICT (topic, log_partition, log_offset) DO NOTHING;

-- Where an aggregate stands: its events laid one over another, field by field, the newest on top. Who folds a log of
-- their own begins here and goes on behind log_offset.

CREATE TABLE snapshot (
  context       text,
  key           text,
  state         jsonb NOT NULL,
  events        bigint NOT NULL,
  last_type     text NOT NULL,
  last_at       timestamptz NOT NULL,
  log_partition int NOT NULL,
  log_offset    bigint NOT NULL,
  PRIMARY KEY (context, key)
);
CREATE INDEX ON snapshot (context, last_at DESC);

COMMENT ON TABLE snapshot IS 'What each aggregate has come to, one row each.';
COMMENT ON COLUMN snapshot.state IS 'The last value of every field that any of its events had.';
COMMENT ON COLUMN snapshot.events IS 'How many events it is made of.';
COMMENT ON COLUMN snapshot.log_offset IS 'The last of them: its place in the partition.';

INSERT INTO snapshot (context, key, state, events, last_type, last_at, log_partition, log_offset)
SELECT split_part(e._type, '.', 1), e._key, e._payload, 1, e._type, e._time, e._partition, e._offset
FROM every.event e WHERE e._key IS NOT NULL
ON CONFLICT (context, key) DO UPDATE
SET state = snapshot.state || EXCLUDED.state, events = snapshot.events + 1, last_type = EXCLUDED.last_type,
    last_at = EXCLUDED.last_at, log_partition = EXCLUDED.log_partition, log_offset = EXCLUDED.log_offset;

-- It shows all that anybody has said of anybody.

GRANT SELECT ON event_log, snapshot TO admin;
