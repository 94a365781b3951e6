-- What became of a message to a customer.
--
-- A message that has failed may be sent later, and then it is sent. One that nobody asked for stands here, too, with
-- what its sending says of it.

CREATE TABLE notification_status (
  notification_id text PRIMARY KEY,
  customer_id     text,
  channel         text,
  template        text,
  requested_at    timestamptz,
  sent_at         timestamptz,
  failed_at       timestamptz,
  cancelled_at    timestamptz,
  error           text,
  -- Follows from what has happened, so that no event can move a message back.
  state           text NOT NULL GENERATED ALWAYS AS (
    CASE WHEN sent_at IS NOT NULL THEN 'SENT'
         WHEN cancelled_at IS NOT NULL THEN 'CANCELLED'
         WHEN failed_at IS NOT NULL THEN 'FAILED'
         ELSE 'PENDING' END) STORED
);
CREATE INDEX ON notification_status (customer_id, requested_at DESC);
CREATE INDEX ON notification_status (state, requested_at DESC);

COMMENT ON TABLE notification_status IS 'Messages to customers, one row each.';
COMMENT ON COLUMN notification_status.customer_id IS 'Null where only a failure or a cancellation is known.';
COMMENT ON COLUMN notification_status.channel IS 'EMAIL, SMS or PUSH.';
COMMENT ON COLUMN notification_status.template IS 'The text''s name; null where the message was not asked for.';
COMMENT ON COLUMN notification_status.error IS 'Why it last failed; it stays when the message is sent later.';
COMMENT ON COLUMN notification_status.state IS 'PENDING, SENT, FAILED or CANCELLED. A message that was sent cannot be cancelled any more.';

INSERT INTO notification_status (notification_id, customer_id, channel, template, requested_at)
SELECT e.notification_id, e.customer_id, e.channel, e.template, e.requested_at FROM notifications.notify_customer e
ON CONFLICT (notification_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, channel = EXCLUDED.channel, template = EXCLUDED.template,
    requested_at = LEAST(notification_status.requested_at, EXCLUDED.requested_at);

INSERT INTO notification_status (notification_id, customer_id, channel, sent_at)
SELECT e.notification_id, e.customer_id, 'EMAIL', e.sent_at FROM notifications.email_sent e
ON CONFLICT (notification_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, channel = EXCLUDED.channel, sent_at = EXCLUDED.sent_at;

INSERT INTO notification_status (notification_id, customer_id, channel, sent_at)
SELECT e.notification_id, e.customer_id, 'SMS', e.sent_at FROM notifications.sms_sent e
ON CONFLICT (notification_id) DO UPDATE
SET customer_id = EXCLUDED.customer_id, channel = EXCLUDED.channel, sent_at = EXCLUDED.sent_at;

INSERT INTO notification_status (notification_id, failed_at, error)
SELECT e.notification_id, e.failed_at, e.error FROM notifications.notification_failed e
ON CONFLICT (notification_id) DO UPDATE SET failed_at = EXCLUDED.failed_at, error = EXCLUDED.error;

INSERT INTO notification_status (notification_id, cancelled_at)
SELECT e.notification_id, e.cancelled_at FROM notifications.notification_cancelled e
ON CONFLICT (notification_id) DO UPDATE SET cancelled_at = EXCLUDED.cancelled_at;

-- Customers see their own messages.

GRANT SELECT ON notification_status TO customer, staff, admin;
CREATE POLICY own ON notification_status FOR SELECT TO customer USING (customer_id = claim('sub'));
CREATE POLICY everything ON notification_status FOR SELECT TO staff, admin USING (true);
