//! The schema registry. What it says for good (a schema) is remembered; what may change (unknown, away, refused) is
//! asked again, so a schema that is registered later is found by the next try.

mod client;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::read::frame::SchemaRef;
use crate::schema::Schema;
pub use client::RegistrySettings;
use client::{Client, Failure};

/// Why the registry gave no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It knows no such schema; one registered later will be found.
    #[error("the registry knows no schema {0}")]
    Unknown(String),
    /// What it has under this id is not a schema that can be read: an error of the record.
    #[error("the registry's schema cannot be used: {0}")]
    Unusable(String),
    /// It cannot be reached or does not work: try again later.
    #[error("the registry is away: {0}")]
    Away(String),
    /// It was asked too often (429): try again later, and less often.
    #[error("the registry is away: {0}")]
    RateLimited(String),
    /// It says no: credentials, rights, compatibility, settings.
    #[error("the registry refuses: {0}")]
    Refused(String),
}

/// What a call is for: a record that cannot be decoded without it, or somebody at hand who waits for the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Decoding,
    AtHand,
}

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
        let client = client.map_err(|failure| failure.means("client", Purpose::AtHand))?;
        Ok(Self { client, schemas: Mutex::default() })
    }

    /// The schema, with all that it refers to.
    ///
    /// # Errors
    /// [`RegistryError`] tells what to do: park the record, try again, or stop.
    pub async fn schema(&self, reference: &SchemaRef) -> Result<Arc<Schema>, RegistryError> {
        let known =
            self.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let schema = Arc::new(self.fetch(reference).await?);
        self.schemas
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(*reference, Arc::clone(&schema));
        Ok(schema)
    }

    /// The names are resolved here and not by the client, which knows only some of the forms that references take.
    async fn fetch(&self, reference: &SchemaRef) -> Result<Schema, RegistryError> {
        let registered = self.client.schema(reference).await;
        let registered = registered
            .map_err(|failure| failure.means(&reference.to_string(), Purpose::Decoding))?;
        let mut texts = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = registered.references;
        while let Some(next) = open.pop() {
            if seen.insert((next.subject.clone(), next.version)) {
                let what = format!(
                    "{} version {}, which {reference} refers to",
                    next.subject, next.version
                );
                let found = self.client.referenced(&next).await;
                let found = found.map_err(|failure| failure.means(&what, Purpose::Decoding))?;
                open.extend(found.references);
                texts.push(found.schema);
            }
        }
        Schema::parse_with(&registered.schema, &texts)
            .map_err(|error| RegistryError::Unusable(error.to_string()))
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`RegistryError`] says why not.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        let answer = self.client.ping().await;
        answer.map_err(|failure| failure.means("subjects", Purpose::AtHand))
    }

    /// Registers a schema under a subject, or finds it there, and gives its id.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] where it is not compatible with the subject's others.
    pub async fn register(&self, subject: &str, json: &str) -> Result<u32, RegistryError> {
        let id = self.client.register(subject, json).await;
        id.map_err(|failure| failure.means(subject, Purpose::AtHand))
    }
}

impl Failure {
    /// What is to be done about it; `what` was asked for.
    fn means(self, what: &str, purpose: Purpose) -> RegistryError {
        let at_hand = purpose == Purpose::AtHand;
        match self {
            Self::Status { status: 429, reason, .. } => RegistryError::RateLimited(reason),
            Self::Status { status: 408 | 500.., reason, .. } | Self::NoAnswer { reason } => {
                RegistryError::Away(reason)
            }
            Self::Status { status: 404, code: None, reason } => {
                let nothing = format!(
                    "nothing is there ({reason}); the url may be another service's, or lack a path"
                );
                // Something in between may say so for a while; whoever only asks at hand wants to know at once.
                if at_hand { RegistryError::Refused(nothing) } else { RegistryError::Away(nothing) }
            }
            Self::Status { status: 404, .. } if !at_hand => RegistryError::Unknown(what.to_owned()),
            Self::Unusable { reason } if !at_hand => RegistryError::Unusable(reason),
            Self::Status { reason, .. } | Self::Unusable { reason } => {
                RegistryError::Refused(reason)
            }
        }
    }
}
