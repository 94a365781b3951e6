//! Bytes that nobody vouches for: refused with a reason, in bounded memory, on a small stack, never with a panic.

use proptest::prelude::*;

use crate::common::{Bench, long, placed, string};

/// What becomes of a datum in a contract whose one further field is `x` of this type.
fn refused(ty: &str, datum: &[u8]) -> String {
    let schema = placed(&format!(r#"{{"name":"x","type":{ty}}}"#));
    let mut bench = Bench::of(&[&schema], &[]);
    bench.writer(&schema);
    let error = bench.decode(&[&string("a"), datum].concat()).unwrap_err();
    assert!(bench.rows[0][0].bytes() < 1 << 20);
    error.to_string()
}

const NULLS: &str = r#"{"type":"array","items":"null"}"#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
const LIST: &str = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;

#[test]
fn known_attacks() {
    let bomb = [long(9_000_000), vec![0]].concat();
    let nested = format!(r#"{{"type":"array","items":{NULLS}}}"#);
    for (ty, datum, reason) in [
        (
            "[\"null\",\"string\"]",
            [long(1), long(10), b"cut".to_vec()].concat(),
            "field x, byte 4 of the payload: 10 bytes should follow, 3 are left",
        ),
        (
            "\"string\"",
            [long(400_000_000), vec![1]].concat(),
            "400000000 bytes should follow, 1 are left",
        ),
        ("\"string\"", long(i64::MAX), "9223372036854775807 bytes should follow, 0 are left"),
        ("\"string\"", long(-1), "a length of -1"),
        (
            "\"string\"",
            [long(2), vec![0xc3, 0x28]].concat(),
            "byte 3 of the payload: a string holds bytes that are not UTF-8",
        ),
        (NULLS, bomb.clone(), "far more values than the record has bytes"),
        (
            NULLS,
            [long(i64::MIN), long(0), vec![0]].concat(),
            "far more values than the record has bytes",
        ),
        (&nested, [long(1), bomb, vec![0]].concat(), "field x[0], byte"),
        (
            r#"{"type":"array","items":"double"}"#,
            [long(3), vec![0; 20]].concat(),
            "a block of 3 items, 20 bytes are left",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            [long(-1), long(99), vec![0; 3]].concat(),
            "a block of 99 bytes, 3 are left",
        ),
        (
            r#"{"type":"map","values":"null"}"#,
            [long(5), vec![0; 4]].concat(),
            "a block of 5 items, 4 bytes are left",
        ),
        ("\"long\"", vec![0xff; 10], "a number takes more than 64 bits"),
        ("\"long\"", vec![0xff; 4], "the payload ends within a number"),
        ("\"int\"", long(1 << 40), "1099511627776 is not an int of 32 bits"),
        ("\"boolean\"", vec![2], "a boolean is 0 or 1, not 2"),
        ("[\"null\",\"int\"]", long(2), "branch 2 of 2"),
        ("[\"null\",\"int\"]", long(-1), "branch -1 of 2"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, long(1), "symbol 1 of 1"),
        (
            "\"int\"",
            [long(1), vec![0; 3]].concat(),
            "byte 3 of the payload: 3 bytes follow the value",
        ),
        (
            DECIMAL,
            [long(20), vec![0x7f; 20]].concat(),
            "a decimal of more than its 4 digits (20 bytes)",
        ),
        (
            r#"{"type":"string","logicalType":"uuid"}"#,
            string("not-a-uuid"),
            "\"not-a-uuid\" is not a uuid",
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            long(i64::MAX),
            "is no date or time that Postgres can hold",
        ),
        (
            r#"{"type":"int","logicalType":"time-millis"}"#,
            long(-1),
            "-1 is no date or time that Postgres can hold",
        ),
        (
            r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#,
            vec![0xff; 12],
            "a duration of 4294967295 months or days",
        ),
        (LIST, [vec![2; 400], vec![0]].concat(), "values nest deeper than 64 levels"),
    ] {
        let error = refused(ty, &datum);
        assert!(error.contains(reason), "{ty}: {error}");
    }
}

#[test]
fn what_is_skipped_is_bounded_too() {
    let fields = format!(r#"{{"name":"x","type":{NULLS}}},{{"name":"list","type":{LIST}}}"#);
    let mut bench = Bench::of(&[&placed("")], &[]);
    bench.writer(&placed(&fields));
    let datum = |x: Vec<u8>, list: Vec<u8>| [string("a"), x, list].concat();
    assert!(bench.decode(&datum(vec![0], vec![2, 2, 0])).unwrap().is_some());
    let error =
        bench.decode(&datum([long(9_000_000), vec![0]].concat(), vec![0])).unwrap_err().to_string();
    assert!(error.contains("field x") && error.contains("far more values"), "{error}");
    let error =
        bench.decode(&datum(vec![0], [vec![2; 400], vec![0]].concat())).unwrap_err().to_string();
    assert!(error.contains("deeper than 64"), "{error}");
}

#[test]
fn doubling_types_without_bytes_cost_no_time() {
    let mut ty = "\"null\"".to_owned();
    for level in 0..40 {
        let name = format!("R{level}");
        ty = format!(
            r#"{{"type":"record","name":"{name}","fields":[{{"name":"a","type":{ty}}},{{"name":"b","type":"{}"}}]}}"#,
            if level == 0 { "null".to_owned() } else { format!("R{}", level - 1) }
        );
    }
    assert!(refused(&ty, &[]).contains("far more values than the record has bytes"));
}

#[test]
fn json_stays_in_proportion() {
    let symbol = "S".repeat(5000);
    let ty = format!(
        r#"{{"type":"array","items":{{"type":"enum","name":"E","symbols":["{symbol}"]}}}}"#
    );
    let items = 3000;
    let datum = [long(items), vec![0; items as usize + 1]].concat();
    assert!(refused(&ty, &datum).contains("as JSON the record becomes far longer than it is"));
}

#[test]
fn a_small_stack_is_enough() {
    let run = || {
        let error = refused(LIST, &[vec![2; 100_000], vec![0]].concat());
        assert!(error.contains("deeper than 64"));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn nul_is_left_to_postgres() {
    let schema = placed(r#"{"name":"x","type":{"type":"array","items":"string"}}"#);
    let mut bench = Bench::of(&[&schema], &[]);
    bench.writer(&schema);
    let row =
        bench.decode(&[string("a\0"), long(1), string("\0"), vec![0]].concat()).unwrap().unwrap();
    assert_eq!(
        (row.text("id").as_deref(), row.json("x").as_deref()),
        (Some("a\0"), Some("[\"\\u0000\"]"))
    );
}

const ALL: &str = r#"
    {"name":"b","type":"boolean"},{"name":"l","type":"long"},{"name":"d","type":["null","double"]},
    {"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":4}},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"t","type":{"type":"record","name":"T","fields":[{"name":"v","type":["null","string","int"]},{"name":"kids","type":{"type":"array","items":"T"}}]}},
    {"name":"p","type":{"type":"map","values":["null",{"type":"long","logicalType":"timestamp-micros"}]}}"#;

fn valid() -> Vec<u8> {
    let leaf = |text: &str| [long(1), string(text), long(0)].concat();
    let tree = [long(2), long(7), long(-2), long(10), leaf("a"), leaf("bc"), long(0)].concat();
    let map = [long(2), string("k"), long(0), string("l"), long(1), long(5), long(0)].concat();
    let double = [long(1), 2.5f64.to_le_bytes().to_vec()].concat();
    [string("id"), vec![1], long(-5), double, string("\u{1}\u{2}"), long(1), tree, map].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_never_panic(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), length in any::<prop::sample::Index>()) {
        let schema = placed(ALL);
        let mut bench = Bench::of(&[&schema], &[]);
        bench.writer(&schema);
        let mut datum = valid();
        prop_assert!(bench.decode(&datum).is_ok());
        for (place, byte) in cuts {
            let place = place.index(datum.len());
            datum[place] = byte;
        }
        datum.truncate(length.index(datum.len()) + 1);
        let _ = bench.decode(&datum);
        prop_assert!(bench.rows[0][0].bytes() < 1 << 20);
    }

    #[test]
    fn random_bytes_never_panic(datum in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = placed(ALL);
        let mut bench = Bench::of(&[&placed("")], &[]);
        bench.writer(&schema);
        let _ = bench.decode(&datum);
        let mut bench = Bench::of(&[&schema], &[]);
        bench.writer(&schema);
        let _ = bench.decode(&datum);
        prop_assert!(bench.rows[0][0].bytes() < 1 << 20);
    }
}
