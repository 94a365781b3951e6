//! What rows depend on, part by part: the parts of two definitions are equal exactly when the definitions mean the same, and
//! each says where it is written, so that a difference can be shown.

use crate::finding::place::Place;

/// One part of a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeaningPart {
    /// Path as in [`crate::Files`].
    pub file: String,
    pub at: Place,
    /// What is written there, for people.
    pub what: String,
    /// What it means: insensitive to formatting, and all that is compared.
    pub text: String,
}
