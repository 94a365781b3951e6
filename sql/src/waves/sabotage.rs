//! Lines of `docs/contract.md` that a test leaves out, one at a time, to see that the law notices. A build without the
//! feature `sabotage` leaves out none.

/// What may be left out. `VITRINA_SABOTAGE` names it, as written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Whatever looks at rows reads whether they are there.
    Exists,
    /// An INSERT also meets the row that a unique index holds.
    SecondAccess,
    /// Columns that a SET writes tell no rows.
    MovedColumns,
    /// Who writes a column of a constraint reads all columns named there.
    Constraints,
    /// Who writes a column writes those that are generated from it.
    GeneratedColumns,
    /// Who sets a unique column touches all rows.
    UniqueWritten,
    /// NULL equals NULL where the index says so.
    EqualNulls,
    /// Values that only Postgres can compare are hashed by Postgres.
    HashedByPostgres,
    /// A field of another type than the column's is converted first.
    ConvertedFields,
    /// A collation may take different texts for one.
    Collations,
    /// Only conditions joined by AND tell rows.
    TopLevelAnd,
    /// A whole-row reference reads all columns.
    WholeRow,
    /// A comparison with a float converts the column.
    FloatCompared,
    /// A view reads its tables.
    Views,
    /// A rule that adds disturbs one that reads.
    AdditionsMeetReads,
    /// A merged event never runs before an earlier one of its key.
    NotBefore,
    /// An event is held against what it does in any of its relations.
    AllRelations,
    /// Floats are not summed.
    FloatSums,
    /// What may be NULL is not summed.
    NullableSums,
    /// Sums of absolute values must fit.
    Room,
    /// They must fit in whatever order several rules add.
    RoomForSeveral,
    /// Rows that additions make start from 0.
    ZeroDefaults,
    /// A conflict with a condition is no merge.
    ConflictCondition,
    /// Checks and generated columns forbid merges.
    MergedTies,
    /// Further unique indexes forbid merges.
    MergedUnique,
    /// A rule that reads its target is no merge.
    MergedReads,
    /// An event that makes several rows is no merge.
    OneRow,
    /// Keys of several looks are no merge.
    OneForm,
    /// A cast must do what storing does.
    StoredCasts,
    /// The greatest of several looks is no merge.
    Ordered,
    /// A NULL for a column that takes none stays an error.
    NotNull,
}

/// Whether the line is left out.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn left_out(_: Line) -> bool {
    false
}

/// Whether the line is left out.
#[cfg(feature = "sabotage")]
pub(crate) fn left_out(line: Line) -> bool {
    std::env::var("VITRINA_SABOTAGE").is_ok_and(|name| name == format!("{line:?}"))
}
