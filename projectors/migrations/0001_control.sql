-- The control tables: which generations there are, and how far each has come.
-- Expand only: a later migration adds, it never changes what an older binary reads.

-- One row: the Kafka cluster and the group prefix that this database belongs to.
CREATE TABLE deployment (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id   text        NOT NULL,
    group_prefix text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE model (
    model      text PRIMARY KEY,
    live       integer,                          -- the generation that readers see
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE generation (
    model            text        NOT NULL REFERENCES model,
    generation       integer     NOT NULL,
    state            text        NOT NULL CHECK (state IN ('building', 'live', 'retired')),
    definition       jsonb       NOT NULL,       -- the texts it was made from: {"files": {path: text}}
    meaning          bytea       NOT NULL,       -- SHA-256 of what those texts mean
    duplicate_window integer     NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, generation)
);

-- Moves in the transaction that writes the rows; the epoch is the fence.
CREATE TABLE position (
    model        text        NOT NULL,
    generation   integer     NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    topic_id     text        NOT NULL,
    epoch        bigint      NOT NULL,
    next_offset  bigint      NOT NULL,
    first_offset bigint      NOT NULL,           -- where this generation began to read
    event_time   timestamptz,                    -- record time of the last event before next_offset
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, generation, topic, partition),
    FOREIGN KEY (model, generation) REFERENCES generation
) WITH (fillfactor = 50);

-- The duplicates' window: one row a batch and partition, 32 bytes an event (8 offset, 16 identity, 8 content).
CREATE TABLE seen (
    model       text    NOT NULL,
    generation  integer NOT NULL,
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    last_offset bigint  NOT NULL,
    identities  bytea   NOT NULL,
    PRIMARY KEY (model, generation, topic, partition, last_offset),
    FOREIGN KEY (model, generation) REFERENCES generation
);

-- What each instance says of each model that it runs, renewed every second or two.
CREATE TABLE worker (
    model       text        NOT NULL,
    generation  integer     NOT NULL,
    instance    text        NOT NULL,
    state       text        NOT NULL,
    reason      text,
    last_error  text,
    partitions  jsonb       NOT NULL DEFAULT '[]',  -- [{"topic","partition","end"}], end: the last stable offset seen
    lag_ms      bigint,                             -- null: not known yet
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, instance)
);

-- Called where an upcast gives NULL for a field that its schema does not allow to be null. Volatile, so that the planner
-- never calls it ahead of time.
CREATE FUNCTION refuse_null(nothing anyelement, field text) RETURNS anyelement LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the upcast gives NULL for %, which is not null-able', field USING ERRCODE = 'not_null_violation';
END $$;
