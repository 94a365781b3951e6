//! Files that settings name. Invariant: a relative path starts at the configuration's folder, whoever opens the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::{Certificate, Url};

use super::source::Source;

/// librdkafka's properties that name a file.
const OF_KAFKA: &[&str] = &[
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
];
/// The parameters of Postgres's URL that name one.
const OF_POSTGRES: &[&str] = &["sslrootcert", "sslcert", "sslkey"];

/// The listeners' certificate and its key; none where plain HTTP is spoken.
pub(super) fn tls(source: &mut Source) -> Option<(PathBuf, PathBuf)> {
    match (file(source, "http.tls_cert"), file(source, "http.tls_key")) {
        (Some(cert), Some(key)) => return Some((cert, key)),
        (Some(_), None) => source.refuse("http.tls_cert", "has no key: set http.tls_key, too"),
        (None, Some(_)) => source.refuse("http.tls_key", "has no certificate: set http.tls_cert"),
        (None, None) => {}
    }
    None
}

/// The certificates, in PEM, of a file whose authorities are trusted; empty where none is set.
pub(super) fn roots(source: &mut Source, key: &str) -> Vec<u8> {
    let Some(file) = file(source, key) else { return Vec::new() };
    let read = std::fs::read(&file).map_err(|error| format!("cannot be read: {error}"));
    let read = read.and_then(|pem| match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err("holds no certificate that can be read; PEM is wanted".to_owned()),
    });
    read.unwrap_or_else(|why| {
        source.refuse(key, &format!("names {}, which {why}", file.display()));
        Vec::new()
    })
}

/// Postgres's URL, its files found and readable.
pub(super) fn postgres_url(source: &mut Source) -> Option<String> {
    let text = source.url("postgres.url", &["postgres", "postgresql"])?;
    // What is no URL is refused by whoever connects, with the reason.
    let Ok(mut url) = text.parse::<Url>() else { return Some(text) };
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if !pairs.iter().any(|(name, _)| OF_POSTGRES.contains(&&**name)) {
        return Some(text);
    }
    let mut found = url.query_pairs_mut();
    found.clear();
    for (name, value) in &pairs {
        if !OF_POSTGRES.contains(&&**name) {
            found.append_pair(name, value);
            continue;
        }
        found.append_pair(name, &readable(source, "postgres.url", value, &format!(" ({name})")));
    }
    drop(found);
    Some(url.into())
}

/// librdkafka's properties, their files found and readable.
pub(super) fn of_kafka(
    source: &mut Source,
    mut properties: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    for name in OF_KAFKA {
        // librdkafka looks for a list of places itself where it is told to probe.
        if let Some(file) = properties.get_mut(*name).filter(|file| *file != "probe") {
            *file = readable(source, &format!("kafka.properties.{name}"), file, "");
        }
    }
    properties
}

/// Where a file is; a finding where it cannot be read. `of` is put behind its name.
fn readable(source: &mut Source, key: &str, file: &str, of: &str) -> String {
    let file = source.folder.join(file).display().to_string();
    if let Err(error) = std::fs::File::open(&file) {
        source.refuse(key, &format!("names {file}{of}, which cannot be read: {error}"));
    }
    file
}

fn file(source: &mut Source, key: &str) -> Option<PathBuf> {
    let name = source.text(key)?;
    if name.contains("-----BEGIN") {
        let what = "holds a certificate or a key; write the name of the file that it is in, which is read again on SIGHUP";
        source.refuse(key, what);
        return None;
    }
    Some(source.folder.join(name))
}
