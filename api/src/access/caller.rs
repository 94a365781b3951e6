//! As whom a request reads. Invariant: a handler has a caller only from `passage::read`, or from this process itself
//! (`inside`); a route outside of both is an error of ours, never an open door.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::reader::Reader;
use crate::problem::{Kind, Problem};

/// As whom a request reads.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// There is no `[auth]`: whoever asks may read all, and no rights are applied.
    Anyone,
    /// Rights are applied.
    Reader(Arc<Reader>),
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unnamed = || Problem::new(Kind::Internal, "Nobody has said who asks this route.");
        parts.extensions.get::<Self>().cloned().ok_or_else(unnamed)
    }
}
