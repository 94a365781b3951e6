//! What each rule touches, worked out once when the model loads: whatever can not be told is *all rows*. Two events may
//! run in one statement only where no access of one may meet an access of the other that it conflicts with.

mod access;
mod analysis;
mod cut;
mod draft;
mod explain;
mod facts;
mod indexes;
mod keys;
mod merge;
mod names;
mod order;
mod parallel;
mod reads;
mod runs;
mod sabotage;
mod select_level;
mod together;
mod touch;
mod types;

pub use access::{Access, Column, ColumnSet, KeyPart, Obstacle, RowSet};
pub use cut::{Cutter, combine};
pub use keys::{EventKeys, KeyValue, ORDINAL};
pub use merge::Merge;
pub use merge::fold::Fold;
pub use parallel::{KEY, Parallel, RecordKey};
pub use runs::{RuleWaves, Runs, Waves};
pub(crate) use select_level::conjuncts;
pub use types::{StoredType, Types};
