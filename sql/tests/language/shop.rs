//! The event relations of a small shop, and its model of orders.

use vitrina_sql::{Finding, Model, Relations, Rule};

pub(crate) struct Shop;

const METADATA: &str =
    "_event_id _time _key _topic _partition _offset _headers _correlation_id _causation_id";

const RELATIONS: [(&str, &str, &str); 7] = [
    ("orders", "order_placed", "order_id customer_id amount currency items placed_at"),
    ("orders", "order_shipped", "order_id shipped_at tracking_number"),
    ("orders", "order_cancelled", "order_id reason"),
    ("users", "user_registered", "user_id first_name last_name email"),
    ("catalog", "product_listed", "product_id name price"),
    ("Größe", "Straße", "id"),
    ("every", "event", "_type _version _kind _payload"),
];

impl Relations for Shop {
    fn columns(&self, context: &str, event: &str) -> Option<Vec<String>> {
        let known = RELATIONS
            .iter()
            .find(|(c, e, _)| *c == context && (*e == event || event == "tombstone"))?;
        let fields = if event == "tombstone" { "" } else { known.2 };
        Some(fields.split_whitespace().chain(METADATA.split(' ')).map(str::to_owned).collect())
    }

    fn names(&self) -> Vec<String> {
        RELATIONS.iter().map(|(context, event, _)| format!("{context}.{event}")).collect()
    }
}

/// Tables that the tests' rules write and read.
pub(crate) const TABLES: &str = "
CREATE TABLE t (id text PRIMARY KEY, n int NOT NULL DEFAULT 0, x text, UNIQUE (n, x));
CREATE TABLE _c (customer_id text PRIMARY KEY, name text NOT NULL, part text, UNIQUE (part, name));
CREATE TABLE _l (order_id text, line int, product_id text, PRIMARY KEY (order_id, line));
CREATE VIEW v AS SELECT id, n FROM t;
";

pub(crate) const ORDER_SUMMARY: &str = r#"
CREATE TABLE order_summary (
  order_id      text PRIMARY KEY,
  customer_id   text NOT NULL,
  customer_name text,
  status        text NOT NULL,
  amount        numeric(12,2) NOT NULL,
  currency      text NOT NULL,
  item_count    int NOT NULL DEFAULT 0,
  items         jsonb NOT NULL DEFAULT '[]',
  placed_at     timestamptz,
  shipped_at    timestamptz
);
CREATE INDEX ON order_summary (customer_id, placed_at DESC);
COMMENT ON COLUMN order_summary.status IS 'PLACED, then SHIPPED';
CREATE TABLE _customer (customer_id text PRIMARY KEY, name text NOT NULL);

INSERT INTO order_summary (order_id, customer_id, customer_name, status, amount, currency, item_count, items, placed_at)
SELECT e.order_id, e.customer_id, c.name, 'PLACED', e.amount, e.currency, jsonb_array_length(e.items), e.items, e.placed_at
FROM orders.order_placed e LEFT JOIN _customer c ON c.customer_id = e.customer_id
ON CONFLICT (order_id) DO NOTHING;

UPDATE order_summary o SET status = 'SHIPPED', shipped_at = e.shipped_at
FROM orders.order_shipped e WHERE o.order_id = e.order_id;

INSERT INTO _customer SELECT e.user_id, e.first_name || ' ' || e.last_name FROM users.user_registered e
ON CONFLICT (customer_id) DO UPDATE SET name = EXCLUDED.name;
UPDATE order_summary o SET customer_name = e.first_name || ' ' || e.last_name
FROM users.user_registered e WHERE o.customer_id = e.user_id;
"#;

pub(crate) fn parse(text: &str) -> (Option<Model>, Vec<Finding>) {
    Model::parse("order_summary", "projectors/models/order_summary.sql", text, &Shop)
}

/// The model of a text that has no errors.
pub(crate) fn model(text: &str) -> Model {
    let (model, findings) = parse(text);
    model.unwrap_or_else(|| panic!("refused: {findings:#?}\n{text}"))
}

/// A rule over the tests' tables.
pub(crate) fn rule(text: &str) -> Rule {
    model(&format!("{TABLES}{text}")).rules.remove(0)
}

/// What is refused of a text, in one string.
pub(crate) fn refused(text: &str) -> String {
    let (model, findings) = parse(text);
    assert!(model.is_none(), "accepted: {text}");
    assert!(findings.iter().any(Finding::is_error));
    assert!(findings.iter().all(|finding| !finding.help.is_empty() && finding.line > 0));
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// What is refused of a rule over the tests' tables.
pub(crate) fn refused_rule(text: &str) -> String {
    refused(&format!("{TABLES}{text}"))
}

pub(crate) fn warnings(text: &str) -> Vec<String> {
    let (model, findings) = parse(text);
    assert!(model.is_some(), "{findings:#?}");
    findings.iter().map(ToString::to_string).collect()
}
