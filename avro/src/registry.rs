//! The schema registry. What it says for good (a schema) is remembered; what may change (unknown, away, refused) is
//! asked again, so a schema that is registered later is found by the next try. What it says of one schema is held against
//! a record only where it says something sensible of others.

mod client;
pub(crate) mod subject;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::read::frame::SchemaRef;
use crate::schema::Schema;
pub use client::RegistrySettings;
use client::{Client, Failure, RegisteredReference};

/// Why the registry gave no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It knows no such schema; one registered later will be found.
    #[error("the registry knows no schema {0}")]
    Unknown(String),
    /// It serves others, but this one it does not give, for whatever reason: an error of the record, in the end.
    #[error("the registry serves others, but not this schema: {0}")]
    Unserved(String),
    /// What it has under this id is not a schema that can be read: an error of the record.
    #[error("the registry's schema cannot be used: {0}")]
    Unusable(String),
    /// It cannot be reached or does not work: try again later.
    #[error("the registry is away: {0}")]
    Away(String),
    /// It was asked too often (429): try again later, and less often.
    #[error("the registry is away: {0}")]
    RateLimited(String),
    /// Nothing that it was asked for came, so the address, the credentials or the registry itself is wrong: try again
    /// until somebody has mended it.
    #[error("the registry gives nothing: {0}")]
    Useless(String),
    /// It says no to somebody who waits for the answer: credentials, rights, compatibility, settings.
    #[error("the registry refuses: {0}")]
    Refused(String),
}

/// How many schemas that it once gave are asked for anew, before the registry is taken to give nothing any more: one or
/// two may be gone for good.
const WITNESSES: usize = 3;

/// A client with a cache that lasts as long as it does.
pub struct Registry {
    client: Client,
    schemas: Mutex<HashMap<SchemaRef, Arc<Schema>>>,
}

impl Registry {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Settings of which no client can be made.
    pub fn new(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        let client = Client::new(settings);
        let client = client.map_err(Failure::at_hand)?;
        Ok(Self { client, schemas: Mutex::default() })
    }

    /// The schema, with all that it refers to.
    ///
    /// # Errors
    /// [`RegistryError`] tells what to do: park the record, or try again.
    pub async fn schema(&self, reference: &SchemaRef) -> Result<Arc<Schema>, RegistryError> {
        let known = self.known().get(reference).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = Arc::new(self.fetch(reference).await?);
        self.known().insert(*reference, Arc::clone(&schema));
        Ok(schema)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SchemaRef, Arc<Schema>>> {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names are resolved here and not by the client, which knows only some of the forms that references take.
    async fn fetch(&self, reference: &SchemaRef) -> Result<Schema, RegistryError> {
        let what = reference.to_string();
        let registered = match self.client.schema(reference).await {
            Ok(registered) => registered,
            Err(failure) => return Err(self.judge(failure, what).await),
        };
        let texts = match self.referenced(registered.references).await {
            Ok(texts) => texts,
            Err((failure, referred)) => {
                let what = format!("{referred}, which {reference} refers to");
                return Err(self.judge(failure, what).await);
            }
        };
        match Schema::of_writer(&registered.schema, &texts) {
            Ok(schema) => Ok(schema),
            Err(error) => {
                let failure = Failure::Unusable { reason: error.to_string() };
                Err(self.judge(failure, what).await)
            }
        }
    }

    /// The texts of all that a schema refers to, directly or not.
    ///
    /// # Errors
    /// The first that cannot be had, and which it is.
    async fn referenced(
        &self,
        references: Vec<RegisteredReference>,
    ) -> Result<Vec<String>, (Failure, String)> {
        let (mut texts, mut seen, mut open) = (Vec::new(), BTreeSet::new(), references);
        while let Some(next) = open.pop() {
            if seen.insert((next.subject.clone(), next.version)) {
                let found = self.client.referenced(&next).await.map_err(|failure| {
                    (failure, format!("{} version {}", next.subject, next.version))
                })?;
                open.extend(found.references);
                texts.push(found.schema);
            }
        }
        Ok(texts)
    }

    /// What is to be done about a failed call for a record's schema, which was `what`.
    async fn judge(&self, failure: Failure, what: String) -> RegistryError {
        let failure = match failure {
            Failure::Status { status: 429, reason, .. } => {
                return RegistryError::RateLimited(reason);
            }
            Failure::NoAnswer { reason } | Failure::Status { status: 408 | 500.., reason, .. } => {
                return RegistryError::Away(reason);
            }
            // Nobody says of one schema that he does not know who asks.
            Failure::Status { status: 401, reason, .. } => return RegistryError::Useless(reason),
            about_one => about_one,
        };
        if let Err(nothing) = self.serves_others(&failure).await {
            return RegistryError::Useless(format!("{}; {nothing}", failure.reason()));
        }
        match failure {
            Failure::Status { status: 404, .. } => RegistryError::Unknown(what),
            Failure::Unusable { reason } => RegistryError::Unusable(reason),
            other => RegistryError::Unserved(other.reason()),
        }
    }

    /// Whether it gives anything: a schema that it gave before, or else, as long as there is none, the list of subjects.
    ///
    /// # Errors
    /// What else it was asked for, and what it said.
    async fn serves_others(&self, failure: &Failure) -> Result<(), String> {
        let known: Vec<SchemaRef> = self.known().keys().take(WITNESSES).copied().collect();
        let mut said = String::new();
        for schema in &known {
            match self.client.schema(schema).await {
                Ok(_) => return Ok(()),
                Err(other) => {
                    said = format!("of schema {schema}, which it gave before: {}", other.reason());
                }
            }
        }
        if !known.is_empty() {
            return Err(said);
        }
        // This code nobody but a registry says.
        if matches!(failure, Failure::Status { status: 404, code: Some(40403), .. }) {
            return Ok(());
        }
        let subjects = self.client.subjects().await.map(drop);
        subjects.map_err(|other| format!("of its subjects: {}", other.reason()))
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`RegistryError`] says why not.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        self.subjects().await.map(drop)
    }

    /// Registers a schema under a subject, or finds it there, and gives its id.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] where it is not compatible with the subject's others.
    pub async fn register(&self, subject: &str, json: &str) -> Result<u32, RegistryError> {
        self.client.register(subject, json).await.map_err(Failure::at_hand)
    }
}

impl Failure {
    /// What it means to somebody who waits for the answer.
    fn at_hand(self) -> RegistryError {
        match self {
            Self::Status { status: 429, reason, .. } => RegistryError::RateLimited(reason),
            Self::Status { status: 408 | 500.., reason, .. } | Self::NoAnswer { reason } => {
                RegistryError::Away(reason)
            }
            Self::Status { status: 404, code: None | Some(404), reason } => {
                RegistryError::Refused(format!(
                    "nothing is there ({reason}); the url may be another service's, or lack a path"
                ))
            }
            Self::Status { reason, .. } | Self::Unusable { reason } => {
                RegistryError::Refused(reason)
            }
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Status { reason, .. } | Self::NoAnswer { reason } | Self::Unusable { reason } => {
                reason
            }
        }
    }
}
