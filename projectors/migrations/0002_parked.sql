-- Parked records, what was decided about them, and what operators ask of a model.

-- The operator's word: a model pauses while paused_at is set; resumed counts the requests to go on.
ALTER TABLE model
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_by text,
    ADD COLUMN resumed   bigint NOT NULL DEFAULT 0;

-- Grows whenever the topic's set of parked keys changes, so that a batch that was planned before is planned again.
ALTER TABLE position ADD COLUMN parked_version bigint NOT NULL DEFAULT 0;

-- Records that were not applied: the one at fault and, behind it, every later one of the same topic and key. The smallest
-- id of a queue is its head. Ids are given under the generation's lock, so their order is that of parking.
CREATE TABLE parked (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model        text        NOT NULL,
    generation   integer     NOT NULL,
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
    identity     bytea,                          -- as in seen; null: it has none, or did not decode
    duplicate    boolean     NOT NULL,           -- the duplicates' window knew it
    reason       text,                           -- null: it only waits
    error_type   text,
    sqlstate     text,
    rule         text,
    attempts     integer     NOT NULL DEFAULT 0, -- retries that failed
    parked_at    timestamptz NOT NULL DEFAULT now(),
    failed_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (model, generation, topic, partition, "offset"),
    FOREIGN KEY (model, generation) REFERENCES generation
);
CREATE INDEX parked_queue ON parked (model, generation, queue, id);
CREATE INDEX parked_undecoded ON parked (model, generation, topic, partition, "offset") WHERE event IS NULL;

-- Rows of seen that have left the window, near records that were parked undecoded: when those decode at last, they are
-- compared with what was around them.
CREATE TABLE seen_kept (
    model       text    NOT NULL,
    generation  integer NOT NULL,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    last_offset bigint  NOT NULL,
    identities  bytea   NOT NULL
);
CREATE INDEX seen_kept_offset ON seen_kept (model, generation, topic, partition, last_offset);

-- How each parked record left: the audit of retries and discards, without the payload.
CREATE TABLE verdict (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text        NOT NULL,
    generation integer     NOT NULL,
    parked     bigint      NOT NULL,             -- the id that it had
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    "offset"   bigint      NOT NULL,
    queue      bytea,
    verdict    text        NOT NULL CHECK (verdict IN ('applied', 'duplicate', 'ignored', 'discarded')),
    reason     text,                             -- of a discard
    decided_by text        NOT NULL,
    fault      text,                             -- why it had been parked
    identity   bytea,                            -- where the record decoded only now
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX verdict_model ON verdict (model, generation, id);
