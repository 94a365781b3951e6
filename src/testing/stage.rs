//! Where tests are played: a scratch database of their own, the models in it as they are needed, and the API over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use vitrina_api::{Api, ApiSettings};
use vitrina_projectors::rehearsal::{LogRecord, Rehearsal, Schemas};
use vitrina_projectors::{Definitions, Fault};

use super::file::{Test, TestFile, Then};
use super::orders::Batches;
use super::scratch::Place;
use crate::config::Config;

/// What all stages share.
pub(super) struct Play {
    pub(super) config: Config,
    pub(super) definitions: Definitions,
    pub(super) schemas: Arc<Schemas>,
    pub(super) seed: u64,
    pub(super) update: bool,
}

pub(super) struct Stage {
    pub(super) play: Arc<Play>,
    place: Place,
    open: BTreeMap<String, Rehearsal>,
    /// Reads what a file's tests expect; it knows the models that were open when the file began.
    api: Option<Api>,
    /// How often records were played.
    pub(super) runs: usize,
}

/// What came out of records.
pub(super) struct Outcome {
    /// Status and body, in the order in which a test asks.
    pub(super) answers: Vec<(u16, Value)>,
    /// The records that were parked, with their reasons; none for one that waits behind another.
    pub(super) parked: BTreeMap<usize, Option<String>>,
}

/// A rule of a model, by its place among them.
pub(super) type RuleOf<'m> = (&'m str, usize);

impl Stage {
    pub(super) fn new(play: Arc<Play>, place: Place) -> Self {
        Self { play, place, open: BTreeMap::new(), api: None, runs: 0 }
    }

    /// Opens what a file's tests are about, and closes all else, for a server does not have many connections.
    ///
    /// # Errors
    /// A model that cannot be opened, and why.
    pub(super) async fn set(&mut self, file: &TestFile) -> Result<(), String> {
        let models: BTreeSet<&String> = file.tests.iter().flat_map(|test| &test.models).collect();
        let (kept, idle): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.open).into_iter().partition(|(name, _)| models.contains(name));
        self.open = kept;
        for rehearsal in idle.into_values() {
            rehearsal.close().await;
        }
        for name in models {
            if !self.open.contains_key(name) {
                let opened = self.open_model(name).await?;
                self.open.insert(name.clone(), opened);
            }
        }
        let settings = ApiSettings { pool: 2, ..ApiSettings::new(&self.place.url) };
        self.api = Some(Api::new(settings).map_err(|error| error.to_string())?);
        Ok(())
    }

    async fn open_model(&self, name: &str) -> Result<Rehearsal, String> {
        let Play { config, definitions, schemas, .. } = &*self.play;
        let found = definitions.models.iter().find(|model| model.model.name == name);
        let Some(definition) = found else {
            let findings = definitions.broken.get(name).into_iter().flatten();
            let findings: Vec<String> = findings.map(ToString::to_string).collect();
            return Err(findings.join("\n"));
        };
        let settings = config.model(name).unwrap_or_default();
        let opened = Rehearsal::open(&self.place.options, definition, settings, schemas.clone());
        opened.await.map_err(|fault| format!("{name}: {fault}; `vitrina check` says more"))
    }

    /// Plays a test's records in these batches, without the one rule if one is named, and asks what the test asks.
    ///
    /// # Errors
    /// Postgres is away, or refuses a model as a whole.
    pub(super) async fn play(
        &mut self,
        test: &Test,
        batches: &Batches,
        without: Option<RuleOf<'_>>,
    ) -> Result<Outcome, String> {
        self.runs += 1;
        let arrivals = batches.concat();
        let records: Vec<Vec<&LogRecord>> = batches
            .iter()
            .map(|batch| batch.iter().map(|record| &test.given[*record].record).collect())
            .collect();
        let mut parked = BTreeMap::new();
        for model in &test.models {
            let Some(rehearsal) = self.open.get_mut(model) else { continue };
            let rule = without.filter(|(of, _)| of == model).map(|(_, rule)| rule);
            let told = |fault: Fault| format!("{model}: {fault}");
            for refused in rehearsal.run(&records, rule).await.map_err(told)? {
                let (before, record) = (&arrivals[..refused.arrival], arrivals[refused.arrival]);
                // One that comes again waits behind its key, whatever became of it the first time.
                if !before.contains(&record) {
                    parked.entry(record).or_insert(refused.reason);
                }
            }
        }
        let mut answers = Vec::new();
        for then in &test.then {
            let Then::Answer(answer) = then else { continue };
            let Some(api) = &self.api else { continue };
            let asked = api.ask(answer.reader.clone(), &answer.address).await;
            let (status, body) = asked.map_err(|error| format!("{}: {error}", answer.address))?;
            let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
            answers.push((status.as_u16(), body));
        }
        Ok(Outcome { answers, parked })
    }

    /// Ends all connections.
    pub(super) async fn strike(self) {
        for rehearsal in self.open.into_values() {
            rehearsal.close().await;
        }
    }
}

/// The rows of an answer: of a list, or the one under a key. An answer of another kind is one row.
pub(super) fn rows_of(body: &Value) -> Vec<Map<String, Value>> {
    let row = |value: &Value| value.as_object().cloned().unwrap_or_default();
    match body.get("data") {
        Some(Value::Array(rows)) => rows.iter().map(row).collect(),
        Some(one) => vec![row(one)],
        None => vec![row(body)],
    }
}

/// Whether the answer says that there is no row under the key.
pub(super) fn is_no_row(status: u16, body: &Value) -> bool {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    status == 404 && kind.ends_with("/not-found")
}
