//! What Postgres asks of a model.

use std::collections::BTreeMap;

/// What Postgres asks of a model: operators' word, and the generations to feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Orders {
    /// Who pauses it and since when; `None`: it may run.
    pub paused: Option<String>,
    /// How often it was asked to go on; none before the first look.
    pub resumed: Option<i64>,
    /// The generation that readers see.
    pub live: Option<i32>,
    /// The one that is being built.
    pub building: Option<i32>,
    /// Of both, how many texts have come into effect.
    #[sqlx(json)]
    pub texts: BTreeMap<i32, i32>,
}

impl Orders {
    /// Whether the model was asked to go on since `before`.
    pub(crate) fn resumed_since(&self, before: Option<i64>) -> bool {
        before.is_some() && self.resumed.is_some() && self.resumed != before
    }
}
