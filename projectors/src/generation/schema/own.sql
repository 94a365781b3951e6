-- What a generation keeps beside its model's tables: all that moves in its transactions. The schema is a whole: a dump of
-- it, restored elsewhere, is a generation that goes on exactly where it stands. No foreign key leads out of it.

-- One row: which generation this is, and what it was made from.
CREATE TABLE "@generation" (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    layout           integer NOT NULL,           -- of these tables
    serial           bigint  NOT NULL,           -- as in vitrina.generation
    model            text    NOT NULL,
    generation       integer NOT NULL,
    cluster_id       text    NOT NULL,           -- the Kafka cluster whose log it counts; '' until it has read
    duplicate_window integer NOT NULL,           -- N, fixed when it began
    definition       jsonb   NOT NULL,           -- as in vitrina.generation, which a dump of this schema leaves behind
    used             text[]  NOT NULL,
    has_events       boolean NOT NULL DEFAULT false, -- whether any event has come that a rule wants
    swapped_at       timestamptz                 -- when readers first saw it
);

-- Moves in the transaction that writes the rows; the epoch is the fence.
CREATE TABLE "@position" (
    topic          text        NOT NULL,
    partition      integer     NOT NULL,
    topic_id       text        NOT NULL,
    epoch          bigint      NOT NULL,
    next_offset    bigint      NOT NULL,
    first_offset   bigint      NOT NULL,           -- where this generation began to read: the log's start at that time
    first_time     timestamptz,                    -- record time of the first record that it has read
    partitions     integer     NOT NULL DEFAULT 0, -- of the topic, at the last claim
    -- The topic was deleted and created again after the generation before had read it.
    anew           boolean     NOT NULL DEFAULT false,
    event_time     timestamptz,                    -- record time of the last event before next_offset
    updated_at     timestamptz NOT NULL DEFAULT now(),
    -- Grows whenever the topic's set of parked keys changes, or "@proof" does, so that a batch that was planned before is
    -- planned again.
    parked_version bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- One row, for models whose batches may be written at once: what the records have proven of where keys live. Made by the
-- first claim; it changes only under the generation's lock, held alone, and with it "@position".parked_version.
CREATE TABLE "@proof" (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    topic          text    NOT NULL,
    partitions     integer NOT NULL,               -- of the topic, when the generation began
    -- Each of these puts the key of every record so far where the record is; names as librdkafka has them.
    partitioners   text[]  NOT NULL DEFAULT '{murmur2,consistent,fnv1a}',
    one_writer_at  timestamptz,                    -- since when the proof does not hold: one writer at a time, for good
    one_writer_why text
);

-- Records whose full name no contract of their topic knows, as many as the positions have passed.
CREATE TABLE "@ignored" (
    topic   text   NOT NULL,
    name    text   NOT NULL,
    nearest text,                                -- the known name that was probably meant
    count   bigint NOT NULL,
    PRIMARY KEY (topic, name)
);

-- The duplicates' window: one row a batch and partition, 40 bytes an event (8 offset, 16 identity, 8 content, 8 of the id
-- alone, by which readers find an event of which they know no more).
CREATE TABLE "@seen" (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    last_offset bigint  NOT NULL,
    identities  bytea   NOT NULL,
    PRIMARY KEY (topic, partition, last_offset)
);

-- Rows of "@seen" that have left the window, near records that were parked undecoded: when those decode at last, they are
-- compared with what was around them.
CREATE TABLE "@seen_kept" (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    last_offset bigint  NOT NULL,
    identities  bytea   NOT NULL
);
CREATE INDEX "@seen_kept_offset" ON "@seen_kept" (topic, partition, last_offset);

-- Records that were not applied: the one at fault and, behind it, every later one of the same topic and key. The smallest
-- id of a queue is its head. Ids are given under the generation's lock, so their order is that of parking; they begin at
-- the serial times 2^32, so that no two generations of a deployment give the same.
CREATE TABLE "@parked" (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    "offset"     bigint      NOT NULL,
    queue        bytea,                          -- 16-byte hash of topic and key; null: no key, so nothing waits behind it
    key          bytea,
    value        bytea,
    headers      json        NOT NULL,           -- [[name, base64 or null], …]; json, because jsonb has no NUL
    timestamp_ms bigint,
    schema       text,                           -- the writer's schema as the registry names it
    event        text,                           -- CONTEXT.EVENT@vN; null: it did not decode
    identity     bytea,                          -- as in "@seen"; null: it has none, or did not decode
    duplicate    boolean     NOT NULL,           -- the duplicates' window knew it
    reason       text,                           -- null: it only waits
    error_type   text,
    sqlstate     text,
    rule         text,
    attempts     integer     NOT NULL DEFAULT 0, -- retries that failed
    parked_at    timestamptz NOT NULL DEFAULT now(),
    failed_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic, partition, "offset")
);
CREATE INDEX "@parked_queue" ON "@parked" (queue, id);
CREATE INDEX "@parked_undecoded" ON "@parked" (topic, partition, "offset") WHERE event IS NULL;

-- How each parked record left: writers follow the set of parked keys by it, and the records that they must skip.
CREATE TABLE "@verdict" (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    parked     bigint      NOT NULL,             -- the id that it had
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    "offset"   bigint      NOT NULL,
    queue      bytea,
    verdict    text        NOT NULL CHECK (verdict IN ('applied', 'duplicate', 'ignored', 'discarded')),
    reason     text,                             -- of a discard
    fault      text,                             -- why it had been parked
    identity   bytea,                            -- where the record decoded only now
    inherited  boolean     NOT NULL DEFAULT false, -- a discard from before this generation came to the record, which it skips
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

-- Ranges of offsets that an operator has had skipped, in this generation or one before: what lies there is never read.
CREATE TABLE "@skipped" (
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    from_offset  bigint  NOT NULL,
    until_offset bigint  NOT NULL,               -- the first one behind it
    PRIMARY KEY (topic, partition, from_offset)
);

-- What each instance says of this generation while it is built; of a live one they speak in vitrina.worker.
CREATE TABLE "@report" (
    instance   text        PRIMARY KEY,
    state      text        NOT NULL,
    reason     text,
    last_error text,
    partitions jsonb       NOT NULL DEFAULT '[]',  -- as in vitrina.worker
    per_second float8,                             -- events of the whole generation, of late
    updated_at timestamptz NOT NULL DEFAULT now()
);
