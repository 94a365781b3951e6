//! What is registered under a subject, for those who ask before a record comes. Nothing of it is remembered.

use std::sync::Arc;

use super::client::{Failure, SchemaType};
use super::{Registry, RegistryError};
use crate::schema::Schema;

/// One version of a subject.
#[derive(Debug, Clone)]
pub struct Registered {
    pub version: u32,
    pub id: u32,
    /// The text that was registered.
    pub json: String,
    /// The schema with all that it refers to, or why it cannot be used.
    pub schema: Result<Arc<Schema>, String>,
}

impl Registry {
    /// All subjects.
    ///
    /// # Errors
    /// [`RegistryError`] as to somebody who waits for the answer.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        self.client.subjects().await.map_err(Failure::at_hand)
    }

    /// The versions of a subject, the oldest first; none of one that is not there.
    ///
    /// # Errors
    /// [`RegistryError`] as to somebody who waits for the answer.
    pub async fn versions(&self, subject: &str) -> Result<Vec<Registered>, RegistryError> {
        let mut numbers = match self.client.versions(subject).await {
            // With a code of the registry's own, so it is one that answers.
            Err(Failure::Status { status: 404, code: Some(code), .. }) if code != 404 => {
                return Ok(Vec::new());
            }
            answered => answered.map_err(Failure::at_hand)?,
        };
        numbers.sort_unstable();
        let mut versions = Vec::new();
        for version in numbers {
            let registered = self.client.registered(subject, version).await;
            let registered = registered.map_err(Failure::at_hand)?;
            let schema = match &registered.schema_type {
                SchemaType::Avro => match self.referenced(registered.references).await {
                    Ok(others) => Schema::of_writer(&registered.schema, &others)
                        .map(Arc::new)
                        .map_err(|error| error.to_string()),
                    Err((failure, what)) => Err(format!("{what}: {}", failure.reason())),
                },
                other => Err(format!("it is no Avro schema but one of {other:?}")),
            };
            versions.push(Registered {
                version,
                id: registered.id,
                json: registered.schema,
                schema,
            });
        }
        Ok(versions)
    }
}
