CREATE TABLE witness (
  account     text PRIMARY KEY,
  events      bigint NOT NULL,
  total       bigint NOT NULL,
  last_number bigint NOT NULL,
  chain       bigint NOT NULL
);
CREATE TABLE applied (
  log_partition int NOT NULL,
  log_offset    bigint NOT NULL,
  PRIMARY KEY (log_partition, log_offset)
);

-- Refused where a record is applied again.
INSERT INTO applied SELECT e._partition, e._offset FROM probe.noted e;

INSERT INTO witness AS w (account, events, total, last_number, chain)
SELECT e.account, 1, e.amount, e.number, e.number FROM probe.noted e
ON CONFLICT (account) DO UPDATE
SET events = w.events + 1, total = w.total + EXCLUDED.total, last_number = EXCLUDED.last_number,
    chain = (w.chain * 31 + EXCLUDED.chain) % 1000000007;
