//! The schema registry. What it says for good (a schema) is remembered; what may change (unknown, away, refused) is
//! asked again, so a schema that is registered later is found by the next try.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_referenced_schema, get_schema_by_guid_and_type,
    get_schema_by_id_and_type, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};

use crate::read::frame::SchemaRef;
use crate::schema::Schema;

/// For connecting and for reading an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the registry is, and who asks. A token goes before a name and password.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
}

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
    /// It says no: credentials, rights, compatibility, settings.
    #[error("the registry refuses: {0}")]
    Refused(String),
}

/// A client with a cache that lasts as long as it does.
pub struct Registry {
    settings: SrSettings,
    schemas: Mutex<HashMap<SchemaRef, Arc<Schema>>>,
}

impl Registry {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// Settings of which no client can be made.
    pub fn new(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        let mut builder = SrSettings::new_builder(settings.url.trim_end_matches('/').to_owned());
        builder.set_timeout(TIMEOUT);
        match (&settings.token, &settings.username) {
            (Some(token), _) => drop(builder.set_token_authorization(token)),
            (None, Some(name)) => {
                drop(builder.set_basic_authorization(name, settings.password.as_deref()))
            }
            (None, None) => {}
        }
        let settings = builder.build().map_err(|error| RegistryError::Refused(told(&error)))?;
        Ok(Self { settings, schemas: Mutex::default() })
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
        let registered = match reference {
            SchemaRef::Id(id) => {
                get_schema_by_id_and_type(*id, &self.settings, SchemaType::Avro).await
            }
            SchemaRef::Guid(guid) => {
                get_schema_by_guid_and_type(&guid.to_string(), &self.settings, SchemaType::Avro)
                    .await
            }
        };
        let registered =
            registered.map_err(|error| judge(&error, &reference.to_string(), false))?;
        let mut texts = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = registered.references;
        while let Some(next) = open.pop() {
            if seen.insert((next.subject.clone(), next.version)) {
                let what = format!(
                    "{} version {}, which {reference} refers to",
                    next.subject, next.version
                );
                let found = get_referenced_schema(&self.settings, &next).await;
                let found = found.map_err(|error| judge(&error, &what, false))?;
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
        let subjects = get_all_subjects(&self.settings).await;
        subjects.map(drop).map_err(|error| judge(&error, "subjects", true))
    }

    /// Registers a schema under a subject, or finds it there, and gives its id.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] where it is not compatible with the subject's others.
    pub async fn register(&self, subject: &str, json: &str) -> Result<u32, RegistryError> {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, json.to_owned());
        let registered = post_schema(&self.settings, subject.to_owned(), schema).await;
        registered.map(|registered| registered.id).map_err(|error| judge(&error, subject, true))
    }
}

/// The client tells kinds of failure apart by their texts and causes only: the HTTP status is in the text.
fn judge(error: &SRCError, what: &str, writing: bool) -> RegistryError {
    let mut chain: Vec<&(dyn Error + 'static)> = vec![error];
    while let Some(cause) = chain[chain.len() - 1].source() {
        chain.push(cause);
    }
    let status = chain.iter().find_map(|cause| status(cause.downcast_ref::<SRCError>()?));
    let code =
        chain.iter().find_map(|cause| cause.downcast_ref::<RawError>()).map(|raw| raw.error_code);
    let transient = chain
        .iter()
        .any(|cause| cause.downcast_ref::<SRCError>().is_some_and(|error| error.retriable));
    // An answer that is not the registry's JSON comes from something in between.
    let foreign = chain.iter().any(|cause| {
        cause
            .downcast_ref::<SRCError>()
            .is_some_and(|error| error.error.starts_with("could not parse to "))
    });
    match (status, code) {
        (Some(408 | 429 | 500..), _) => RegistryError::Away(told(error)),
        _ if transient || foreign => RegistryError::Away(told(error)),
        // Something in between may say so for a while; whoever only asks at hand wants to know at once.
        (Some(404), Some(0) | None) => {
            let nothing = format!(
                "nothing is there ({}); the url may be another service's, or lack a path",
                told(error)
            );
            if writing { RegistryError::Refused(nothing) } else { RegistryError::Away(nothing) }
        }
        (Some(404), _) if !writing => RegistryError::Unknown(what.to_owned()),
        (Some(_), _) => RegistryError::Refused(told(error)),
        (None, _) if writing => RegistryError::Refused(told(error)),
        (None, _) => RegistryError::Unusable(told(error)),
    }
}

fn status(error: &SRCError) -> Option<u16> {
    error.error.split_once("with status ")?.1.get(..3)?.parse().ok()
}

fn told(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{}: {cause}", error.error),
        None => error.error.clone(),
    }
}
