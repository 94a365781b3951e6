//! Any bytes as a record's datum, read once where every field is wanted and once where every field is skipped: no panic,
//! and no more memory than the record's size allows.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use vitrina_avro::{Contracts, Decoder, Headers, Layout, Record, Schema, SchemaRef};
use vitrina_sql::Files;

const WIDE: &str = include_str!("wide.avsc");
const NARROW: &str = r#"{"type":"record","name":"shop.Placed","fields":[{"name":"id","type":"string"}]}"#;

static DECODERS: LazyLock<[Decoder; 2]> = LazyLock::new(|| [WIDE, NARROW].map(decoder));

/// Reads what `WIDE` wrote as a contract of this schema.
fn decoder(schema: &str) -> Decoder {
    let files = [("c/shop/context.toml", "topic = \"t\"\nkey = \"id\""), ("c/shop/placed/v1.avsc", schema)];
    let files: BTreeMap<String, String> = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    let (contracts, findings) = Contracts::load(&Files(files), "c");
    assert!(findings.is_empty(), "{findings:?}");
    let contract = contracts.contract("shop", "placed").expect("it loads");
    let mut decoder = Decoder::new(&contracts, vec![Layout::new(contract, None)]);
    decoder.add_schema(SchemaRef::Id(1), &Arc::new(Schema::parse(WIDE).expect("it is a schema")));
    decoder
}

fuzz_target!(|datum: &[u8]| {
    let value = [&[0, 0, 0, 0, 1], datum].concat();
    let headers = Headers::default();
    let record =
        Record { topic: "t", partition: 0, offset: 0, timestamp_ms: None, key: None, value: Some(&value), headers };
    let framed = Decoder::frame(&record).expect("the frame is right");
    for decoder in DECODERS.iter() {
        let mut rows = decoder.rows();
        let outcome = decoder.decode(&record, &framed, &mut rows).is_ok();
        assert!(rows[0][0].bytes() < (1 << 17) + 256 * value.len());
        assert_eq!(rows[0][0].len(), usize::from(outcome));
    }
});
