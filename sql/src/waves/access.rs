//! An access is a table, a set of its rows, and what of them is read, written and added to. Sets are never smaller than
//! what Postgres touches.

use crate::finding::place::Place;
use std::collections::BTreeSet;

/// A column of a table, or whether the row is there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Every table has it: whatever looks at rows reads it; inserting and deleting write it.
    Exists,
    /// Index into [`crate::Table::columns`].
    At(usize),
}

pub type ColumnSet = BTreeSet<Column>;

/// Some rows of a table and what a rule does there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Index into [`crate::Model::tables`].
    pub table: usize,
    pub rows: RowSet,
    pub reads: ColumnSet,
    pub writes: ColumnSet,
    /// What is only added to, so that the order of two such accesses does not matter. Disjoint from `writes`.
    pub adds: ColumnSet,
    /// It is the row that an INSERT makes. Two of them are two rows: that they may not be alike is said by an access for
    /// each unique index.
    pub new_row: bool,
    /// Why its rows are not told by a key; set where they are all rows.
    pub obstacle: Option<Obstacle>,
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSet {
    All,
    /// Those whose columns equal values of the event: sorted by column, never empty.
    Key(Vec<KeyPart>),
}

/// A column equals a value that the event alone gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// Index into [`crate::Table::columns`].
    pub column: usize,
    /// Index into [`super::EventKeys::keys`] of the rule's relation.
    pub key: usize,
    /// The value as the user wrote it.
    pub text: String,
}

/// Why events run one by one, and what would change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// A plain sentence without its full stop.
    pub because: String,
    /// Where it stands, in the model's file.
    pub at: Place,
    pub help: String,
}

impl Access {
    /// Takes what is added to as read and written.
    pub(crate) fn forget_sums(&mut self) {
        self.reads.extend(&self.adds);
        self.writes.append(&mut self.adds);
    }
}

impl RowSet {
    /// The columns that are known of every row in it.
    pub fn parts(&self) -> &[KeyPart] {
        match self {
            Self::All => &[],
            Self::Key(parts) => parts,
        }
    }

    pub(crate) fn parts_mut(&mut self) -> &mut [KeyPart] {
        match self {
            Self::All => &mut [],
            Self::Key(parts) => parts,
        }
    }

    pub(crate) fn of(mut parts: Vec<KeyPart>) -> Self {
        parts.sort_by_key(|part| part.column);
        if parts.is_empty() { Self::All } else { Self::Key(parts) }
    }
}
