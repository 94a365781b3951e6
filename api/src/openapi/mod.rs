//! What the API says of itself, in JSON Schema and OpenAPI 3.1. Invariant: it is made of the views that it is given and of
//! nothing else, so what a reader may not see is not in it.

mod answer;
mod document;
mod example;
mod name;
mod parameter;
mod row;

pub(crate) use document::document;
pub(crate) use example::example;
pub(crate) use parameter::quoted;
pub(crate) use row::schema;
