//! What a page's form sends, read as strictly as an address.

use axum::extract::{FromRequest, Request};

use super::sorry::Sorry;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;

pub(super) struct Form(Parameters);

impl Form {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Sorry;

    async fn from_request(request: Request, state: &S) -> Result<Self, Sorry> {
        let text = String::from_request(request, state).await.map_err(|rejection| {
            let detail = format!("What the form sends cannot be read: {rejection}.");
            Problem::new(Kind::Refused, detail)
        })?;
        Ok(Self(Parameters::parse(Some(&text))?))
    }
}
