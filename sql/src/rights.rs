//! Who may read what over HTTP. Roles are those of readers' tokens and mean nothing to Postgres, so nothing of this is ever
//! run there as it stands: grants and policies are compiled to what the API narrows its queries by.

pub(crate) mod grant;
mod phrase;
pub(crate) mod policy;
mod using;
pub(crate) mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whom a grant or a policy is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everyone, without a token, too.
    Public,
    /// Who has this role, compared exactly.
    Named(String),
}

/// What may be read of a model's tables and views, by their names; of what is not among them, nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rights(pub BTreeMap<String, RelationRights>);

/// What may be read of one table or view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelationRights {
    pub grants: Vec<ColumnGrant>,
    /// None: whoever may read a column reads all of its rows.
    pub policies: Vec<RowPolicy>,
}

/// Columns that roles may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnGrant {
    pub roles: Vec<Role>,
    /// None: all that there are.
    pub columns: Option<Vec<String>>,
}

/// Rows that roles may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowPolicy {
    pub roles: Vec<Role>,
    pub using: Predicate,
}

/// A condition on the rows of a relation that is called `t`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    pub pieces: Vec<Piece>,
    /// The columns that it names.
    pub columns: Vec<String>,
    /// Those that have one value in all rows that meet it.
    pub constant: Vec<String>,
}

/// What a condition's text is put together of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    Sql(String),
    /// The claim of this name, as a `text`.
    Claim(String),
    /// The claim of this name, as a `text[]`.
    Claims(String),
}

impl Predicate {
    /// Whether every row meets it, and it says so: `USING (true)`.
    pub fn is_true(&self) -> bool {
        matches!(&self.pieces[..], [Piece::Sql(text)] if text == using::TRUE)
    }
}

/// Whether a role among `roles` is `role`, or everyone.
pub(crate) fn applies(roles: &[Role], role: &Role) -> bool {
    roles.iter().any(|one| one == role || *one == Role::Public)
}
