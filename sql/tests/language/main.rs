//! What the language of models and upcasts accepts, refuses and rewrites, seen from outside.
#![allow(clippy::unwrap_used)]

mod cutting;
mod merging;
mod parallel;
mod refusals;
mod rights;
mod rules;
mod shop;
mod splicing;
mod upcasts;
mod waves;
