-- Who fits a job, and who has taken it.
--
-- Somebody who is hired without having been found stands here without a score: the recruiters knew them otherwise.

CREATE TABLE candidate_pipeline (
  job_id       uuid,
  candidate_id uuid,
  partner_id   uuid NOT NULL,
  score        double precision,
  matched_at   timestamptz,
  hired_at     timestamptz,
  state        text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN hired_at IS NULL THEN 'MATCHED' ELSE 'HIRED' END) STORED,
  PRIMARY KEY (job_id, candidate_id)
);
CREATE INDEX ON candidate_pipeline (job_id, score DESC);
CREATE INDEX ON candidate_pipeline (partner_id, matched_at DESC);
CREATE INDEX ON candidate_pipeline (candidate_id, matched_at DESC);

COMMENT ON TABLE candidate_pipeline IS 'Candidates for jobs, one row a job and candidate.';
COMMENT ON COLUMN candidate_pipeline.score IS 'From 0 to 1: how well they fit.';
COMMENT ON COLUMN candidate_pipeline.hired_at IS 'When the hire was told; null if there was none.';
COMMENT ON COLUMN candidate_pipeline.state IS 'MATCHED or HIRED.';

INSERT INTO candidate_pipeline (job_id, candidate_id, partner_id, score, matched_at)
SELECT e.job_id, e.candidate_id, e.partner_id, e.score, e.matched_at FROM recruitment.candidate_matched e
ON CONFLICT (job_id, candidate_id) DO UPDATE SET score = EXCLUDED.score, matched_at = EXCLUDED.matched_at;

INSERT INTO candidate_pipeline (job_id, candidate_id, partner_id, hired_at)
SELECT e.job_id, e.candidate_id, e.partner_id, e._time FROM recruitment.candidate_hired e
ON CONFLICT (job_id, candidate_id) DO UPDATE SET hired_at = LEAST(candidate_pipeline.hired_at, EXCLUDED.hired_at);

-- Partners see the candidates for their own jobs.

GRANT SELECT ON candidate_pipeline TO partner, recruiter, admin;
CREATE POLICY own ON candidate_pipeline FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON candidate_pipeline FOR SELECT TO recruiter, admin USING (true);
