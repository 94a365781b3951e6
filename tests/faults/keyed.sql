-- The same by the record's key alone, so its batches are written in parallel.
CREATE TABLE keyed (
  account     text PRIMARY KEY,
  events      bigint NOT NULL,
  total       bigint NOT NULL,
  last_number bigint NOT NULL,
  chain       bigint NOT NULL
);

INSERT INTO keyed AS w (account, events, total, last_number, chain)
SELECT e.account, 1, e.amount, e.number, e.number FROM probe.noted e
ON CONFLICT (account) DO UPDATE
SET events = w.events + 1, total = w.total + EXCLUDED.total, last_number = EXCLUDED.last_number,
    chain = (w.chain * 31 + EXCLUDED.chain) % 1000000007;
