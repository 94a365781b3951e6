-- What a partner has asked the recruiters for, and how far that is.
--
-- Requests come on one topic and what is done about them on another, in any order, so each writes columns of its own. A
-- hire names its job and not its request: the helper knows which job is whose. A hire for a job that was never opened
-- belongs to no request, and counts nowhere.

CREATE TABLE recruitment_request (
  request_id   uuid PRIMARY KEY,
  partner_id   uuid,
  skills       jsonb,
  level        text,
  job_type     text,
  remote       boolean,
  urgency      text,
  start_from   date,
  start_to     date,
  requested_at timestamptz,
  job_id       uuid,
  matches      bigint NOT NULL DEFAULT 0,
  hires        bigint NOT NULL DEFAULT 0,
  completed_at timestamptz,
  open         boolean NOT NULL GENERATED ALWAYS AS (completed_at IS NULL) STORED
);
CREATE INDEX ON recruitment_request (partner_id, requested_at DESC);
CREATE INDEX ON recruitment_request (open, requested_at DESC);
CREATE INDEX ON recruitment_request (urgency, requested_at DESC);

COMMENT ON TABLE recruitment_request IS 'Partners'' requests for people, one row each.';
COMMENT ON COLUMN recruitment_request.partner_id IS 'Null, as all up to requested_at, while only the recruiters know of it.';
COMMENT ON COLUMN recruitment_request.skills IS 'As a list.';
COMMENT ON COLUMN recruitment_request.level IS 'JUNIOR, MID, SENIOR or EXPERT.';
COMMENT ON COLUMN recruitment_request.job_type IS 'FULL_TIME, PART_TIME or CONTRACT.';
COMMENT ON COLUMN recruitment_request.remote IS 'Whether the work may be done from elsewhere.';
COMMENT ON COLUMN recruitment_request.urgency IS 'LOW, NORMAL, HIGH or URGENT.';
COMMENT ON COLUMN recruitment_request.start_from IS 'When the work is to begin, at the earliest; null: no matter.';
COMMENT ON COLUMN recruitment_request.start_to IS 'And at the latest.';
COMMENT ON COLUMN recruitment_request.job_id IS 'Of the job that was opened for it; null before.';
COMMENT ON COLUMN recruitment_request.matches IS 'Candidates who were found.';
COMMENT ON COLUMN recruitment_request.hires IS 'Candidates who took the job.';
COMMENT ON COLUMN recruitment_request.open IS 'Whether people are still looked for.';

CREATE TABLE _job (job_id uuid PRIMARY KEY, request_id uuid NOT NULL);
CREATE TABLE _match (job_id uuid, candidate_id uuid, PRIMARY KEY (job_id, candidate_id));
CREATE TABLE _hire (hiring_id uuid PRIMARY KEY);

INSERT INTO recruitment_request (request_id, partner_id, skills, level, job_type, remote, urgency, start_from, start_to,
                                 requested_at)
SELECT e.request_id, e.partner_id, e.required_skills, e.experience_level, e.job_type, e.remote_work_allowed,
       e.urgency_level, (e.hiring_timeline ->> 'from')::date, (e.hiring_timeline ->> 'to')::date, e._time
FROM partners.recruitment_requested e
ON CONFLICT (request_id) DO UPDATE
SET partner_id = EXCLUDED.partner_id, skills = EXCLUDED.skills, level = EXCLUDED.level, job_type = EXCLUDED.job_type,
    remote = EXCLUDED.remote, urgency = EXCLUDED.urgency, start_from = EXCLUDED.start_from,
    start_to = EXCLUDED.start_to, requested_at = LEAST(recruitment_request.requested_at, EXCLUDED.requested_at);

-- The job. All that follows comes in its order.

INSERT INTO _job (job_id, request_id) SELECT e.job_id, e.request_id FROM recruitment.create_job e
ON CONFLICT (job_id) DO NOTHING;

INSERT INTO recruitment_request (request_id, job_id) SELECT e.request_id, e.job_id FROM recruitment.create_job e
ON CONFLICT (request_id) DO UPDATE SET job_id = EXCLUDED.job_id;

-- A candidate is counted first, while the helper still says that they were not.

INSERT INTO recruitment_request (request_id, matches)
SELECT e.request_id, 1 FROM recruitment.candidate_matched e
WHERE NOT EXISTS (SELECT 1 FROM _match m WHERE m.job_id = e.job_id AND m.candidate_id = e.candidate_id)
ON CONFLICT (request_id) DO UPDATE SET matches = recruitment_request.matches + EXCLUDED.matches;

INSERT INTO _match (job_id, candidate_id) SELECT e.job_id, e.candidate_id FROM recruitment.candidate_matched e
ON CONFLICT (job_id, candidate_id) DO NOTHING;

-- A hire's request is known by the helper alone, so hires run one by one. They are few.

INSERT INTO recruitment_request (request_id, hires)
SELECT j.request_id, 1 FROM recruitment.candidate_hired e JOIN _job j ON j.job_id = e.job_id
WHERE NOT EXISTS (SELECT 1 FROM _hire h WHERE h.hiring_id = e.hiring_id)
ON CONFLICT (request_id) DO UPDATE SET hires = recruitment_request.hires + EXCLUDED.hires;

INSERT INTO _hire (hiring_id) SELECT e.hiring_id FROM recruitment.candidate_hired e
ON CONFLICT (hiring_id) DO NOTHING;

INSERT INTO recruitment_request (request_id, completed_at)
SELECT e.request_id, e.completed_at FROM recruitment.recruitment_completed e
ON CONFLICT (request_id) DO UPDATE SET completed_at = EXCLUDED.completed_at;

-- Partners see their own requests.

GRANT SELECT ON recruitment_request TO partner, recruiter, admin;
CREATE POLICY own ON recruitment_request FOR SELECT TO partner USING (partner_id = claim('partner_id')::uuid);
CREATE POLICY everything ON recruitment_request FOR SELECT TO recruiter, admin USING (true);
