-- What the instance has seen of the model within the last five minutes, for the judgement over all instances.
ALTER TABLE worker
    ADD COLUMN recent_events bigint NOT NULL DEFAULT 0,
    ADD COLUMN recent_errors bigint NOT NULL DEFAULT 0;
