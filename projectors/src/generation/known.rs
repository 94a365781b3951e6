//! Every generation that a model has ever had, by what it means. Meanings are compared as this binary reads them: the texts
//! that are kept are read anew, so that another version of Vitrina, which may see more or less in the same texts, finds
//! nothing new in them.

use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use crate::definition::Definition;
use crate::generation::stored::StoredDefinition;

/// A generation that there was, or is.
#[derive(sqlx::FromRow)]
pub(crate) struct Known {
    pub generation: i32,
    pub state: String,
    /// Hashes of the texts that came into effect.
    pub used: Vec<String>,
    definition: Json<StoredDefinition>,
}

impl Known {
    /// All of a model, the newest first.
    ///
    /// # Errors
    /// Postgres's.
    pub(crate) async fn all(connection: &mut PgConnection, model: &str) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(
            "SELECT generation, state, used, definition FROM vitrina.generation WHERE model = $1
             ORDER BY generation DESC",
        )
        .bind(model)
        .fetch_all(connection)
        .await
    }

    pub(crate) fn is_live(&self) -> bool {
        self.state == "live"
    }

    pub(crate) fn is_built(&self) -> bool {
        self.state == "queued" || self.state == "building"
    }

    /// Whether the very texts of `definition` have been in effect here.
    pub(crate) fn has_used(&self, definition: &Definition) -> bool {
        self.used.contains(&definition.text_hash)
    }

    /// Whether its rows depend on what those of `definition` do.
    pub(crate) fn means(&self, definition: &Definition) -> bool {
        self.has_used(definition)
            || Definition::stored(&self.definition.0.files, &definition.model.name)
                .is_ok_and(|own| own.meaning == definition.meaning)
    }
}
