//! Contracts whose newest versions all have the same columns, so that a rule may name any of them; and events of tiny
//! domains, so that they meet. Some values are ones that Postgres refuses somewhere.

use serde_json::{Value, json};

use super::dice::Dice;

/// Event relations: context, event, number of versions.
pub(super) const RELATIONS: [(&str, &str, usize); 3] =
    [("a", "up", 3), ("a", "off", 1), ("b", "tick", 2)];

/// The relation of all of them, besides.
pub(super) const EVERY: &str = "every.event";

/// One event of a version of a relation.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) relation: usize,
    pub(super) version: usize,
    pub(super) offset: i64,
    /// The record key's value: the field that its context says.
    pub(super) key: i64,
    pub(super) value: Value,
}

const K: &str = r#"{"name":"k","type":"long"}"#;
const REST: &str = r#"{"name":"n","type":"int"},{"name":"big","type":["null","long"]},
  {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
  {"name":"f","type":"double"},{"name":"word","type":["null","string"]},{"name":"tag","type":"string"},
  {"name":"items","type":{"type":"array","items":"int"}}"#;
const G: &str = r#"{"name":"g","type":"long"}"#;
const OK: &str = r#"{"name":"ok","type":"boolean","default":true}"#;

fn schema(name: &str, fields: &[&str]) -> String {
    let kind = if name == "Off" { r#""kind":"domain","# } else { "" };
    format!(
        r#"{{"type":"record","name":"{name}","namespace":"law",{kind}"fields":[{}]}}"#,
        fields.join(",")
    )
}

/// The contracts' files. `up` renames a field and then computes another.
pub(super) fn contracts() -> Vec<(&'static str, String)> {
    let old = schema("Up", &[K, r#"{"name":"id","type":"long"}"#, REST]);
    let newest = |name| schema(name, &[K, G, REST, OK]);
    vec![
        ("c/a/context.toml", "topic = \"a\"\nkey = \"k\"\n".to_owned()),
        ("c/a/up/v1.avsc", old),
        ("c/a/up/v2.avsc", schema("Up", &[K, G, REST])),
        ("c/a/up/v2.sql", "SELECT id AS g FROM v1".to_owned()),
        ("c/a/up/v3.avsc", newest("Up")),
        ("c/a/up/v3.sql", "SELECT lower(tag) AS tag FROM v2".to_owned()),
        ("c/a/off/v1.avsc", newest("Off")),
        ("c/b/context.toml", "topic = \"b\"\nkey = \"g\"\n".to_owned()),
        ("c/b/tick/v1.avsc", schema("Tick", &[K, G, REST])),
        ("c/b/tick/v2.avsc", newest("Tick")),
        ("c/b/tick/v2.sql", "SELECT n > 1 AS ok FROM v1".to_owned()),
    ]
}

/// One more of these in a hundred is a value that hardly anything takes.
fn int(dice: &mut Dice) -> i64 {
    if dice.chance(6) {
        dice.pick(&[2_147_483_647, -2_147_483_647, 2_147_483_000])
    } else {
        dice.pick(&[0, 1, 2, 3, 5])
    }
}

impl Event {
    pub(super) fn draw(dice: &mut Dice, offset: i64, relations: &[usize]) -> Self {
        let relation = dice.pick(relations);
        let version = dice.below(RELATIONS[relation].2);
        let k = dice.below(4) as i64;
        let big = [
            Value::Null,
            json!(0),
            json!(1),
            json!(2),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
        ];
        let big = big[dice.below(big.len())].clone();
        let amount = if dice.chance(4) {
            "9999999999.99"
        } else {
            dice.pick(&["0.00", "1.00", "2.00", "1.50", "2.25", "-1.00"])
        };
        let f: Value = serde_json::from_str(
            dice.pick(&["0.0", "-0.0", "1.0", "2.0", "0.1", "0.2", "1e16", "-1e16"]),
        )
        .unwrap();
        let word = [
            json!("a"),
            json!("A"),
            json!("b"),
            json!("ab"),
            json!("a "),
            json!("long"),
            Value::Null,
        ];
        let word = word[dice.below(word.len())].clone();
        let tag = dice.pick(&["a", "A", "b", "", "a"]);
        let items: Vec<usize> = (0..dice.below(4)).map(|_| dice.below(4)).collect();
        let n = int(dice);
        let mut value = json!({"k": k, "n": n, "big": big, "amount": amount, "f": f, "word": word, "tag": tag,
            "items": items});
        let group = if (relation, version) == (0, 0) { "id" } else { "g" };
        let g = dice.below(3) as i64;
        value[group] = json!(g);
        if version + 1 == RELATIONS[relation].2 {
            value["ok"] = json!(dice.chance(60));
        }
        let key = if RELATIONS[relation].0 == "a" { k } else { g };
        Self { relation, version, offset, key, value }
    }
}
