//! Which models may be written by record key, and what is told of those that may not.

use crate::shop::model;
use crate::waves::Declared;
use vitrina_sql::waves::{EventKeys, KEY, Parallel, RecordKey};

const TABLES: &str = "
CREATE TABLE o (id text PRIMARY KEY, cust text, n int NOT NULL DEFAULT 0, other text);
CREATE TABLE l (id text, line int, sku text, PRIMARY KEY (id, line));
CREATE TABLE u (id text PRIMARY KEY, slot text UNIQUE);
CREATE VIEW all_of AS SELECT * FROM o;
";

fn record_key(relation: &EventKeys) -> RecordKey {
    let (topic, column) = match relation.context.as_str() {
        "orders" if relation.event == "tombstone" => ("orders.events", None),
        "orders" => ("orders.events", Some("order_id")),
        "users" => ("users.events", Some("user_id")),
        "every" => return RecordKey { topic: None, column: None },
        _ => ("orders.events", Some("product_id")),
    };
    RecordKey { topic: Some(topic.to_owned()), column: column.map(str::to_owned) }
}

fn judged(rules: &str) -> Result<Parallel, String> {
    let model = model(&format!("{TABLES}{rules}"));
    let judged = model.waves(&Declared).parallel(&model, &record_key);
    judged.map_err(|obstacle| {
        assert!(!obstacle.help.is_empty());
        format!("{}: {}", obstacle.at.line, obstacle.because)
    })
}

const OWN: &str = "
INSERT INTO o (id, cust) SELECT e.order_id, e.customer_id FROM orders.order_placed e ON CONFLICT (id) DO NOTHING;
INSERT INTO l SELECT e.order_id, i.n, i.item ->> 'sku' FROM orders.order_placed e,
  jsonb_array_elements(e.items) WITH ORDINALITY i(item, n) ON CONFLICT DO NOTHING;
UPDATE o SET n = o.n * 2 + (SELECT count(*) FROM l WHERE l.id = e.order_id)
FROM orders.order_shipped e WHERE o.id = e.order_id AND o.cust > '';
DELETE FROM o USING orders.tombstone e WHERE o.id = e._key;";

#[test]
fn a_model_that_finds_every_row_by_the_record_key_writes_in_parallel() {
    let waves = model(&format!("{TABLES}{OWN}")).waves(&Declared);
    let parallel = judged(OWN).unwrap();
    assert_eq!(parallel.topic, "orders.events");
    for (relation, key) in waves.relations.iter().zip(&parallel.keys) {
        let column = if relation.event == "tombstone" { KEY } else { "order_id" };
        assert_eq!(relation.keys[*key], vitrina_sql::waves::KeyValue::Field(column.into()));
    }
}

#[test]
fn the_first_access_in_the_way_is_told() {
    for (rules, reason) in [
        // Two topics, and one topic of two contexts.
        (
            "UPDATE o SET n = 1 FROM users.user_registered e WHERE id = e.user_id;",
            "14: its events come from the topics `orders.events` and `users.events`",
        ),
        (
            "UPDATE o SET n = 1 FROM every.event e WHERE id = e._key;",
            "14: its events come from the topics of all contexts",
        ),
        (
            "UPDATE o SET n = 1 FROM catalog.product_listed e WHERE id = e.name;",
            "14: rows of `o` are told by `id = e.name`, not by the record key `product_id`",
        ),
        // Another field, another column, a value made of the field.
        (
            "UPDATE o SET n = 1 FROM orders.order_shipped e WHERE o.cust = e.tracking_number;",
            "14: rows of `o` are told by `cust = e.tracking_number`, not by the record key `order_id`",
        ),
        (
            "UPDATE o SET n = 1 FROM orders.order_shipped e WHERE o.other = e.order_id;",
            "14: the record key tells rows of `o` by another column than in line 7",
        ),
        (
            "UPDATE o SET n = 1 FROM orders.order_shipped e WHERE o.id = upper(e.order_id);",
            "14: rows of `o` are told by `id = upper(e.order_id)`, not by the record key `order_id`",
        ),
        // The field and the key may differ where a producer errs: one of them splits the batches.
        (
            "UPDATE o SET n = 1 FROM orders.order_shipped e WHERE o.id = e._key;",
            "14: rows of `o` are told by `id = e._key`, not by the record key `order_id`",
        ),
        // A second unique index, a view, a sub-select, a constant.
        (
            "INSERT INTO u SELECT e.order_id, e.currency FROM orders.order_placed e ON CONFLICT DO NOTHING;",
            "14: rows of `u` are told by `slot = e.currency`, not by the record key `order_id`",
        ),
        (
            "UPDATE l SET sku = (SELECT max(a.cust) FROM all_of a WHERE a.id = e.order_id) FROM orders.order_shipped e
             WHERE l.id = e.order_id;",
            "14: the view `all_of` reads all rows of `o`",
        ),
        (
            "UPDATE l SET sku = (SELECT max(cust) FROM o) FROM orders.order_shipped e WHERE l.id = e.order_id;",
            "14: no column of `o` is compared with the event by `=`",
        ),
        (
            "UPDATE o SET n = 1 FROM orders.order_shipped e WHERE o.id = 'all';",
            "14: rows of `o` are told by `id = 'all'`, not by the record key `order_id`",
        ),
        // A column that is set tells no rows.
        (
            "UPDATE o SET id = e.tracking_number FROM orders.order_shipped e WHERE id = e.order_id;",
            "7: rows of `o` are told apart by `id`, which the rule in line 14 changes",
        ),
    ] {
        let told = judged(&format!("{OWN}\n\n{rules}")).unwrap_err();
        assert!(told.starts_with(reason), "{rules}\n{told}");
    }
}
