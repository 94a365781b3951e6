-- How many events there are, by hour, context, type and kind: what the services' dashboard shows.
--
-- Producers' repetitions are dropped before they are counted. A producer that floods a topic with what the domain
-- forbids is counted like any other: that is how it is seen.

CREATE TABLE event_counts (
  hour    timestamptz,
  context text,
  type    text,
  kind    text,
  events  bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (hour, context, type, kind)
);
CREATE INDEX ON event_counts (context, hour DESC);
CREATE INDEX ON event_counts (type, hour DESC);
CREATE INDEX ON event_counts (kind, hour DESC);

COMMENT ON TABLE event_counts IS 'How many events there are, one row an hour, context, type and kind.';
COMMENT ON COLUMN event_counts.type IS 'The event''s contract, such as orders.order_placed.';
COMMENT ON COLUMN event_counts.kind IS 'domain, integration, system or command; empty where the contract does not say.';

INSERT INTO event_counts (hour, context, type, kind, events)
SELECT date_trunc('hour', e._time), split_part(e._type, '.', 1), e._type, COALESCE(e._kind, ''), 1
FROM every.event e
ON CONFLICT (hour, context, type, kind) DO UPDATE SET events = event_counts.events + EXCLUDED.events;

CREATE VIEW by_type AS
SELECT c.type, c.kind, sum(c.events) AS events, max(c.hour) AS last_hour FROM event_counts c GROUP BY c.type, c.kind;
COMMENT ON VIEW by_type IS 'All events there ever were, one row a type and kind.';

CREATE VIEW by_context AS
SELECT c.context, sum(c.events) AS events, count(DISTINCT c.type) AS types, max(c.hour) AS last_hour
FROM event_counts c GROUP BY c.context;
COMMENT ON VIEW by_context IS 'All events there ever were, one row a context.';

GRANT SELECT ON event_counts, by_type, by_context TO staff, admin;
