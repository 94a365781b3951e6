#![doc = include_str!("../README.md")]

mod finding;
mod meaning;
mod model;
mod names;
mod objects;
mod precedence;
mod reading;
mod rights;
mod shape;
mod text;
mod upcast;
pub mod waves;

pub use finding::files::Files;
pub use finding::place::Place;
pub use finding::{Finding, Severity};
pub use meaning::MeaningPart;
pub use model::{LiteralStatement, Model, SuspiciousLiteral};
pub use names::functions;
pub use names::name::{quote_literal, quoted, written};
pub use names::nearest::{nearest, suggested};
pub use objects::index::{Comment, Index, View};
pub use objects::scope::Relations;
pub use objects::table::{Table, TableColumn};
pub use rights::grant::Grant;
pub use rights::policy::Policy;
pub use rights::{ColumnGrant, Piece, Predicate, RelationRights, Rights, Role, RowPolicy};
pub use shape::rule::{Rule, RuleKind, Shape};
pub use text::literal::Literal;
pub use upcast::{Upcast, UpcastItem};
