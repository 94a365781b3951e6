//! Laws of the cutter: it gives what `docs/contract.md` §6.1 gives, read literally, for any accesses and any events.

use crate::waves::waves;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use vitrina_sql::waves::{
    Access, Column, ColumnSet, Cutter, EventKeys, KeyPart, KeyValue, Merge, RowSet, RuleWaves,
    Runs, Waves,
};

const KEYS: usize = 3;

type Keys = [Option<u64>; KEYS];

/// The relations that hold it, each with its keys.
type Event = Vec<(usize, Keys)>;

fn columns() -> impl Strategy<Value = ColumnSet> {
    let column = prop_oneof![Just(Column::Exists), (0usize..3).prop_map(Column::At)];
    btree_set(column, 0..3)
}

fn rows() -> impl Strategy<Value = RowSet> {
    let parts = vec(proptest::option::weighted(0.5, 0..KEYS), 3).prop_map(|keys| {
        let parts = keys.into_iter().enumerate();
        let parts = parts
            .filter_map(|(column, key)| Some(KeyPart { column, key: key?, text: String::new() }));
        match parts.collect::<Vec<_>>() {
            none if none.is_empty() => RowSet::All,
            parts => RowSet::Key(parts),
        }
    });
    parts.boxed()
}

fn access() -> impl Strategy<Value = Access> {
    let sets = (columns(), columns(), columns());
    (0usize..2, rows(), sets, proptest::bool::weighted(0.2)).prop_map(
        |(table, rows, (reads, writes, adds), new_row)| Access {
            table,
            rows,
            reads,
            adds: &adds - &writes,
            writes,
            new_row,
            obstacle: None,
        },
    )
}

fn a_merge() -> Merge {
    let model = waves("DELETE FROM o USING orders.order_cancelled e WHERE o.id = e.order_id");
    model.rules[0].merge().unwrap().clone()
}

fn analysis() -> impl Strategy<Value = Waves> {
    let rule = (0usize..3, vec(access(), 1..4), any::<bool>());
    vec(rule, 1..5).prop_map(|rules| {
        let merge = a_merge();
        let rules = rules.into_iter().map(|(relation, accesses, merged)| RuleWaves {
            relation,
            accesses,
            runs: Runs::Waves { merge: merged.then(|| merge.clone()) },
            touches: Vec::new(),
        });
        let rules: Vec<RuleWaves> = rules.collect();
        let relation = |relation: usize| EventKeys {
            context: String::new(),
            event: String::new(),
            rules: (0..rules.len()).filter(|index| rules[*index].relation == relation).collect(),
            keys: vec![KeyValue::Null; KEYS],
        };
        Waves { relations: (0..3).map(relation).collect(), rules }
    })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    // Hashes as they are: without a pattern.
    let key = proptest::option::weighted(
        0.9,
        (1u64..4).prop_map(|key| key.wrapping_mul(0xd6e8_feb8_6659_fd93)),
    );
    let keys = [key.clone(), key.clone(), key];
    let other = proptest::option::weighted(0.3, (1usize..3, keys.clone()));
    let event = (0usize..3, keys, other).prop_map(|(relation, keys, other)| {
        let other = other.map(|(apart, keys)| ((relation + apart) % 3, keys));
        [(relation, keys)].into_iter().chain(other).collect()
    });
    vec(event, 0..40)
}

/// Whether one row may belong to both: no column known of both differs, and NULL equals nothing.
fn meet(one: (&Access, &Keys), other: (&Access, &Keys)) -> bool {
    let known = |(access, keys): (&Access, &Keys), column: usize| {
        access.rows.parts().iter().find(|part| part.column == column).map(|part| keys[part.key])
    };
    one.0.table == other.0.table
        && !(one.0.new_row && other.0.new_row)
        && (0..3).all(|column| match (known(one, column), known(other, column)) {
            (Some(one), Some(other)) => one.is_some() && one == other,
            _ => true,
        })
}

/// Whether one disturbs what the other sees, and whether both only add to something.
fn conflict(one: &Access, other: &Access) -> (bool, bool) {
    let all = |access: &Access| &(&access.reads | &access.writes) | &access.adds;
    let disturbs = |one: &Access, other: &Access| {
        !one.writes.is_disjoint(&all(other))
            || !one.adds.is_disjoint(&(&other.reads | &other.writes))
    };
    (disturbs(one, other) || disturbs(other, one), !one.adds.is_disjoint(&other.adds))
}

/// What an event does: each access with its rule, and the keys of the rule's relation.
fn does<'a>(analysis: &'a Waves, event: &'a Event) -> Vec<(usize, &'a Access, &'a Keys)> {
    let rules = event.iter().flat_map(|(relation, keys)| {
        analysis.relations[*relation].rules.iter().map(move |rule| (*rule, keys))
    });
    let accesses = rules.flat_map(|(rule, keys)| {
        analysis.rules[rule].accesses.iter().map(move |access| (rule, access, keys))
    });
    accesses.collect()
}

fn naive(analysis: &Waves, events: &[Event]) -> Vec<u32> {
    let mut cut: Vec<u32> = Vec::new();
    for event in events {
        let mut wave = 0;
        for (earlier, before) in events[..cut.len()].iter().enumerate() {
            for (rule, access, keys) in does(analysis, event) {
                for (other, met, other_keys) in does(analysis, before) {
                    if !meet((access, keys), (met, other_keys)) {
                        continue;
                    }
                    let merged = rule == other && analysis.rules[rule].merge().is_some();
                    wave = match conflict(access, met) {
                        (true, _) if !merged => wave.max(cut[earlier] + 1),
                        (true, _) | (_, true) => wave.max(cut[earlier]),
                        _ => wave,
                    };
                }
            }
        }
        cut.push(wave);
    }
    cut
}

fn cut(cutter: &mut Cutter, events: &[Event]) -> (Vec<u32>, u32) {
    let mut waves = Vec::new();
    let count = cutter.cut(events.iter().map(held), &mut waves);
    (waves, count)
}

fn held(event: &Event) -> impl Iterator<Item = (usize, &[Option<u64>])> + Clone {
    event.iter().map(|(relation, keys)| (*relation, keys.as_slice()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_cut_is_the_contracts(analysis in analysis(), batches in vec(events(), 1..3)) {
        let mut cutter = Cutter::new(&analysis);
        for events in &batches {
            let (waves, count) = cut(&mut cutter, events);
            prop_assert_eq!(&waves, &naive(&analysis, events));
            prop_assert_eq!(count, waves.iter().max().map_or(0, |last| last + 1));
            prop_assert!((0..count).all(|wave| waves.contains(&wave)), "a wave is empty: {:?}", waves);
        }
    }
}

/// The waves of events of a model with one relation and one key.
fn cut_of(rules: &str, keys: &[Option<u64>]) -> Vec<u32> {
    let analysis = waves(rules);
    assert_eq!(analysis.relations[0].keys.len(), 1);
    let mut waves = Vec::new();
    let events = keys.iter().map(|key| [(0, std::slice::from_ref(key))]);
    Cutter::new(&analysis).cut(events, &mut waves);
    waves
}

#[test]
fn events_of_one_key_wait_for_each_other_unless_they_are_merged() {
    let keys = [Some(1), Some(2), Some(1), None, Some(1), None];
    let set = |value: &str| {
        format!("UPDATE o SET n = {value} FROM orders.order_placed e WHERE o.id = e.order_id")
    };
    assert_eq!(cut_of(&set("o.n * 2"), &keys), [0, 0, 1, 0, 2, 0]);
    assert_eq!(cut_of(&set("o.n + 2"), &keys), [0; 6]);
    assert_eq!(cut_of(&set("7"), &keys), [0; 6]);
}

#[test]
fn a_merged_event_never_runs_before_an_earlier_one_of_its_key() {
    // The second event waits for the first by the first rule's key; the third shares its key of the merged rule.
    let analysis = waves(
        "UPDATE c SET name = c.name || 'x' FROM orders.order_placed e WHERE c.id = e.customer_id;
         UPDATE o SET n = 1, st = e.currency FROM orders.order_placed e WHERE o.id = e.order_id",
    );
    assert_eq!(
        analysis.relations[0].keys,
        [KeyValue::Field("customer_id".into()), KeyValue::Field("order_id".into())]
    );
    let events = [[Some(1), Some(10)], [Some(1), Some(20)], [Some(2), Some(20)]];
    let mut waves = Vec::new();
    Cutter::new(&analysis).cut(events.iter().map(|keys| [(0, keys.as_slice())]), &mut waves);
    assert_eq!(waves, [0, 1, 1]);
}

#[test]
fn a_delete_and_an_insert_of_different_knowledge_meet() {
    // The order to insert may be there already, as another customer's.
    let analysis = waves(
        "INSERT INTO o (id, cust) SELECT e.order_id, e.customer_id FROM orders.order_placed e ON CONFLICT DO NOTHING;
         DELETE FROM o USING users.user_registered e WHERE o.cust = e.user_id",
    );
    let (order, customer) = ([Some(1), Some(7)], [Some(8)]);
    let mut waves = Vec::new();
    Cutter::new(&analysis).cut([[(0, order.as_slice())], [(1, customer.as_slice())]], &mut waves);
    assert_eq!(waves, [0, 1]);
}

#[test]
fn a_tombstone_stands_between_the_records_of_its_key() {
    let analysis = waves(
        "INSERT INTO o (id, cust) SELECT e.order_id, e.customer_id FROM orders.order_placed e ON CONFLICT DO NOTHING;
         DELETE FROM o USING orders.tombstone e WHERE o.id = e._key",
    );
    assert_eq!(analysis.relations[1].keys, [KeyValue::Field("_key".into())]);
    let (placed, tombstone) = (|key| (0, [Some(key)]), |key| (1, [Some(key)]));
    let events =
        [placed(1), tombstone(1), tombstone(2), placed(2), placed(1), tombstone(1), tombstone(1)];
    let mut waves = Vec::new();
    Cutter::new(&analysis)
        .cut(events.iter().map(|(relation, keys)| [(*relation, keys.as_slice())]), &mut waves);
    assert_eq!(waves, [0, 1, 0, 1, 2, 3, 3]);
}

#[test]
fn an_event_waits_for_what_it_does_in_any_relation() {
    // The count by key stands between two orders of one customer, and the customer between two counts.
    let analysis = waves(
        "INSERT INTO o AS t (id, n) SELECT e._key, 1 FROM every.event e ON CONFLICT (id) DO UPDATE SET n = t.n * 2;
         UPDATE c SET name = c.name || 'x' FROM orders.order_placed e WHERE c.id = e.customer_id",
    );
    assert_eq!(analysis.relations[0].keys, [KeyValue::Field("_key".into())]);
    let (one, two, three) = ([Some(1)], [Some(2)], [Some(3)]);
    let placed = |key, customer| vec![(0, key), (1, customer)];
    let events = [
        placed(&one[..], &two[..]),
        vec![(0, &one[..])],
        placed(&three[..], &two[..]),
        vec![(0, &three[..])],
    ];
    let mut waves = Vec::new();
    Cutter::new(&analysis).cut(events.iter().map(|event| event.iter().copied()), &mut waves);
    assert_eq!(waves, [0, 1, 1, 2]);
}
