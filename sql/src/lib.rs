#![doc = include_str!("../README.md")]

mod files;
mod finding;
mod from;
pub mod functions;
mod index;
mod lexicon;
mod list;
mod literal;
mod model;
mod name;
mod pin;
mod precedence;
mod reading;
mod report;
mod rule;
mod scope;
mod shape;
mod statement;
mod survey;
mod table;
mod text;
mod upcast;
pub mod waves;

pub use files::Files;
pub use finding::{Finding, Severity};
pub use index::{Comment, Index, View};
pub use literal::Literal;
pub use model::{LiteralStatement, Model, SuspiciousLiteral};
pub use rule::{Rule, RuleKind, Shape};
pub use scope::Relations;
pub use table::{Table, TableColumn};
pub use upcast::{Upcast, UpcastItem};
