//! A record as its producer would have sent it. Where it lies in the log is said by the order in which records arrive.

use std::sync::Arc;

use vitrina_avro::{HeaderPlace, Headers, Record};
use vitrina_ingest::Offset;

/// A record without its offset.
#[derive(Debug, Clone)]
pub struct LogRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    /// With its framing, as [`super::Schemas::frame`] gives it; none: a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, String)>,
}

impl LogRecord {
    /// Shows it as a consumer would hand it out at an offset.
    pub(super) fn poll(&self, offset: Offset, take: impl FnOnce(&Record<'_>)) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for (name, value) in &self.headers {
            let mut keep = |text: &str| {
                let start = bytes.len() as u32;
                bytes.extend_from_slice(text.as_bytes());
                start..bytes.len() as u32
            };
            let name = keep(name);
            places.push(HeaderPlace { name, value: Some(keep(value)) });
        }
        take(&Record {
            topic: &self.topic,
            partition: self.partition,
            offset: offset.0,
            timestamp_ms: Some(self.timestamp_ms),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::new(&bytes, &places),
        });
    }
}
