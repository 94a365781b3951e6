-- The control tables: what is about models, their generations, and the instances that run them. All that moves in the
-- transactions of a generation lies in the generation's own schema (src/generation/schema/own.sql), and nothing leads there from
-- here but its name. Expand only: a later migration adds, it never changes what an older binary reads.

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
    newest     integer     NOT NULL DEFAULT 0,   -- the last number that was given; none is given twice
    -- The operator's word: a model pauses while paused_at is set; resumed counts the requests to go on.
    paused_at  timestamptz,
    paused_by  text,
    resumed    bigint      NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Every generation that there ever was. Rows stay when the schema goes: a meaning that was used once proposes nothing.
CREATE TABLE generation (
    serial     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- of the whole deployment, never given twice
    model      text        NOT NULL REFERENCES model,
    generation integer     NOT NULL,
    state      text        NOT NULL CHECK (state IN ('queued', 'building', 'live', 'retired',
                                                     'dropped', 'cancelled', 'superseded')),
    layout     integer     NOT NULL,             -- of its own tables
    definition jsonb       NOT NULL,             -- {"files": {path: text}, "indexes": […]}: any instance runs it from here
    used       text[]      NOT NULL,             -- SHA-256 of every text of the model that came into effect here
    because    text        NOT NULL,             -- why it was begun, for people
    began      timestamptz NOT NULL DEFAULT now(),
    swapped_at timestamptz,                      -- when readers first saw it
    ended_at   timestamptz,                      -- when it was retired, or came to its outcome
    comparison jsonb,                            -- with the live one, before the swap: src/generation/swap/comparison
    waits_for  text,                             -- why it was built and is not live yet
    swap_by    text,                             -- who said that it is to go live, whatever the comparison says
    -- Its history may be shorter than the live one's, an operator said: [{"topic","partition"}], those whose log had ended
    -- before the live one's position. Null: nobody said so.
    shorter    jsonb,
    UNIQUE (model, generation)
);
CREATE UNIQUE INDEX generation_live ON generation (model) WHERE state = 'live';
CREATE UNIQUE INDEX generation_building ON generation (model) WHERE state IN ('queued', 'building');

-- What each instance says of each model's live generation, renewed every second or two.
CREATE TABLE worker (
    model         text        NOT NULL,
    generation    integer     NOT NULL,
    instance      text        NOT NULL,
    state         text        NOT NULL,
    reason        text,
    last_error    text,
    last_error_at timestamptz,
    resumed       bigint,                             -- the last request to go on that the state follows
    fed           boolean     NOT NULL DEFAULT true,  -- false: the instance has no file of it, and so leaves it as it is
    partitions    jsonb       NOT NULL DEFAULT '[]',  -- [{"topic","partition","end"}], end: the last stable offset seen, or null
    lag_ms        bigint,
    unknown_since timestamptz,                        -- since when lag_ms is not known; null: it is
    -- Of the last five minutes, for the judgement over all instances.
    recent_events bigint      NOT NULL DEFAULT 0,
    recent_errors bigint      NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, instance)
);

-- The audit: how each parked record left, and what was decided of generations. A copy: what a generation's transactions
-- go by is in its own schema. No payload is here.
CREATE TABLE verdict (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text        NOT NULL,
    generation integer     NOT NULL,
    serial     bigint      NOT NULL,
    verdict    text        NOT NULL,             -- applied, duplicate, ignored, discarded; rebuild, reset, skipped, cancel,
                                                 -- swap, rollback, drop
    parked     bigint,                           -- the id that the record had
    topic      text,
    partition  integer,
    "offset"   bigint,
    until_offset bigint,                         -- of a skip: the next offset that is read
    reason     text,
    fault      text,                             -- why the record had been parked
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX verdict_model ON verdict (model, id);

-- The audit of payloads, which are personal data: who was shown that of which parked record, written before it is shown.
CREATE TABLE payload_read (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text        NOT NULL,
    generation integer     NOT NULL,
    parked     bigint      NOT NULL,             -- the record's id
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    "offset"   bigint      NOT NULL,
    read_by    text        NOT NULL,
    read_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payload_read_model ON payload_read (model, id);

-- The last offset of the group that somebody else has set, and what it asked for was decided. Until our tag is back, the
-- same offset is the same reset.
CREATE TABLE reset (
    model     text        NOT NULL REFERENCES model,
    topic     text        NOT NULL,
    partition integer     NOT NULL,
    "offset"  bigint      NOT NULL,              -- as it was set
    seen_at   timestamptz NOT NULL DEFAULT now(),
    tagged_at timestamptz,
    PRIMARY KEY (model, topic, partition)
);

-- Who may read what of a model over HTTP: by the text that a generation runs, and, as generation 0, by the file that an
-- instance proposed last. Readers get what both allow (src/generation/rights.rs).
CREATE TABLE rights (
    model      text    NOT NULL REFERENCES model,
    generation integer NOT NULL,
    rights     jsonb   NOT NULL,                 -- of each table and view: who may read which columns, and which rows
    PRIMARY KEY (model, generation)
);

-- What all instances must know and nobody else.
CREATE TABLE secret (
    name  text  PRIMARY KEY,                     -- cursor: what cursors are encrypted with, where a column is hidden
    value bytea NOT NULL
);
INSERT INTO secret VALUES
    ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- A text, or texts, where they read as the type of this name; else NULL. What a policy casts goes through here first: what
-- does not read so meets no row. Immutable, so that it is called once a statement and an index can be looked by.
CREATE FUNCTION readable(value text, type text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    EXECUTE format('SELECT $1::%s', type) USING value;
    RETURN value;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;
CREATE FUNCTION readable(value text[], type text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    EXECUTE format('SELECT $1::%s', type) USING value;
    RETURN value;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- Called where an upcast gives NULL for a field that its schema does not allow to be null. Volatile, so that the planner
-- never calls it ahead of time.
CREATE FUNCTION refuse_null(nothing anyelement, field text) RETURNS anyelement LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the upcast gives NULL for %, which is not null-able', field USING ERRCODE = 'not_null_violation';
END $$;
