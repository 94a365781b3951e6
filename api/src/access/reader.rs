//! Who reads, as its credential says. Invariant: over a listener roles and claims come from a credential that was judged, and
//! from nowhere else.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Whom a credential names. A key's name and a token's subject may be the same text, and are two bearers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bearer {
    ApiKey(String),
    /// By its `sub`, where it has one.
    Token(Option<String>),
}

/// Who reads, where rights are applied. `PUBLIC` is everyone and stands in no reader's roles.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reader {
    /// None for who sent no credential.
    pub bearer: Option<Bearer>,
    /// Roles of the token, not of Postgres; compared exactly.
    pub roles: BTreeSet<String>,
    pub claims: Map<String, Value>,
}

impl Reader {
    /// Who sent no credential.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Whether no credential was sent: what this reader may not see is answered 401, not 404.
    pub fn is_anonymous(&self) -> bool {
        self.bearer.is_none()
    }
}
