//! A stage before readers with rights: each has an API key, `key-NAME`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vitrina_api::{Api, ApiSettings, AuthSettings};
use vitrina_sql::{Model, Relations, Rights};

use crate::stage::{Answer, Stage};

static FILES: AtomicU32 = AtomicU32::new(0);

/// A reader's name, its roles, and its claims as TOML.
pub(crate) type Known = (&'static str, &'static [&'static str], &'static str);

pub(crate) struct Guarded {
    pub(crate) stage: Stage,
    keys: PathBuf,
    model: &'static str,
    pub(crate) tables: String,
}

struct NoEvents;

impl Relations for NoEvents {
    fn columns(&self, _: &str, _: &str) -> Option<Vec<String>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Guarded {
    /// The model with its first generation live, and nothing granted. `rows` fill its tables.
    pub(crate) async fn new(
        model: &'static str,
        tables: &str,
        rows: &str,
        readers: &[Known],
    ) -> Self {
        Self::prepared(model, "", tables, rows, readers).await
    }

    /// The same in a database that was prepared.
    pub(crate) async fn prepared(
        model: &'static str,
        before: &str,
        tables: &str,
        rows: &str,
        readers: &[Known],
    ) -> Self {
        let mut stage = Stage::empty().await;
        stage.run(before).await;
        stage.generation(model, 1, &format!("{tables}; {rows}")).await;
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let keys =
            std::env::temp_dir().join(format!("vitrina-keys-{}-{number}", std::process::id()));
        std::fs::write(&keys, keys_file(readers)).unwrap();
        let mut guarded = Self { stage, keys, model, tables: tables.to_owned() };
        guarded.allow("").await;
        guarded
    }

    /// From now on this is granted, by the file and by the generation's text alike.
    pub(crate) async fn allow(&mut self, rights: &str) {
        self.allow_by(0, rights).await;
        self.allow_by(1, rights).await;
        self.restart();
    }

    /// What the file that was proposed last grants (0), or the text of a generation.
    pub(crate) async fn allow_by(&mut self, generation: i32, rights: &str) {
        let tables = self.tables.clone();
        self.allow_of(generation, &tables, rights).await;
    }

    /// The same, of a text with other tables.
    pub(crate) async fn allow_of(&mut self, generation: i32, tables: &str, rights: &str) {
        let rights = serde_json::to_string(&self.rights(tables, rights)).unwrap();
        let (model, rights) = (self.model, rights.replace('\'', "''"));
        self.stage
            .run(&format!(
                "INSERT INTO vitrina.rights VALUES ('{model}', {generation}, '{rights}')
                 ON CONFLICT (model, generation) DO UPDATE SET rights = EXCLUDED.rights"
            ))
            .await;
    }

    fn rights(&self, tables: &str, rights: &str) -> Rights {
        let text = format!("{tables}; {rights}");
        let (model, findings) = Model::parse(self.model, "model.sql", &text, &NoEvents);
        model.unwrap_or_else(|| panic!("{findings:?}\nin {rights}")).rights()
    }

    /// An instance that knows nothing of before.
    pub(crate) fn restart(&mut self) {
        let auth = AuthSettings { tokens: None, api_keys_file: Some(self.keys.clone()) };
        let settings =
            ApiSettings { auth: Some(auth), pool: 2, ..ApiSettings::new(&self.stage.url) };
        self.stage.router = Api::new(settings).unwrap().router();
    }

    /// Asks as a reader; none: without a key.
    pub(crate) async fn ask(&self, reader: &str, uri: &str) -> Answer {
        self.ask_with(reader, uri, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        reader: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::get(uri);
        if !reader.is_empty() {
            request = request.header("x-api-key", format!("key-{reader}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.stage.send(request.body(Body::empty()).unwrap()).await
    }

    /// All rows of a list, page by page.
    pub(crate) async fn all(&self, reader: &str, uri: &str) -> Vec<Value> {
        let (mut rows, mut next) = (Vec::new(), Some(uri.to_owned()));
        while let Some(uri) = next {
            let answer = self.ask(reader, &uri).await;
            assert_eq!(answer.status, 200, "{reader} {uri}: {}", answer.text);
            let body = answer.json();
            rows.extend(body["data"].as_array().unwrap().iter().cloned());
            next = body["page"]["next"].as_str().map(str::to_owned);
        }
        rows
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.keys);
    }
}

fn keys_file(readers: &[Known]) -> String {
    let mut file = String::new();
    for (name, roles, claims) in readers {
        let digest: String = Sha256::digest(format!("key-{name}"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        writeln!(file, "[keys.{name}]\nsha256 = \"{digest}\"\nroles = {roles:?}").unwrap();
        writeln!(file, "[keys.{name}.claims]\n{claims}").unwrap();
    }
    file
}
