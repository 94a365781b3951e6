-- What somebody should look at in the warehouses: more asked for than there was, and lots that have expired. The numbers
-- are the stock service's: a shortage that does not add up is shown as it was told.

CREATE TABLE stock_incident (
  product_id   text,
  kind         text,
  event_id     text,
  lot_id       text,
  expiry_date  date,
  requested    numeric(18,3),
  available    numeric(18,3),
  shortage     numeric(18,3),
  sale_id      text,
  needs_review boolean NOT NULL,
  at           timestamptz NOT NULL,
  -- The product belongs to the key: ids of events are told apart within a record key.
  PRIMARY KEY (product_id, kind, event_id)
);
CREATE INDEX ON stock_incident (needs_review, at DESC);
CREATE INDEX ON stock_incident (product_id, at DESC);
CREATE INDEX ON stock_incident (at DESC);

COMMENT ON TABLE stock_incident IS 'What went wrong in warehouses, one row each time.';
COMMENT ON COLUMN stock_incident.kind IS 'SHORTAGE, or EXPIRED_LOT: somebody tried to set aside what may not be sold any more.';
COMMENT ON COLUMN stock_incident.lot_id IS 'Of an EXPIRED_LOT.';
COMMENT ON COLUMN stock_incident.requested IS 'Of a SHORTAGE, as available and shortage.';
COMMENT ON COLUMN stock_incident.shortage IS 'What was asked for, less what there was, as the stock service says it.';
COMMENT ON COLUMN stock_incident.needs_review IS 'Whether somebody is to look at the lot.';

INSERT INTO stock_incident (product_id, kind, event_id, requested, available, shortage, sale_id, needs_review, at)
SELECT e.product_id, 'SHORTAGE', e._event_id, e.requested_quantity, e.available_quantity, e.shortage_quantity,
       e.sale_id, false, e._time
FROM stock.insufficient_stock_detected e
ON CONFLICT (product_id, kind, event_id) DO NOTHING;

INSERT INTO stock_incident (product_id, kind, event_id, lot_id, expiry_date, needs_review, at)
SELECT e.product_id, 'EXPIRED_LOT', e._event_id, e.lot_id, e.expiry_date, e.requires_lot_review, e._time
FROM stock.expired_lot_allocation_attempted e
ON CONFLICT (product_id, kind, event_id) DO NOTHING;

-- For warehouses and tills.

GRANT SELECT ON stock_incident TO staff, admin;
