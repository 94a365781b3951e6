//! What the admin routes work with, and how the desk's answers are told over HTTP.

use std::net::SocketAddr;

use vitrina_projectors::{Desk, Refusal};

use super::gate::Access;
use super::lookout::Lookout;
use crate::problem::{Kind, Problem};

/// What the admin routes work with.
#[derive(Clone)]
pub struct Operators {
    pub access: Access,
    pub desk: Desk,
    pub lookout: Lookout,
    pub queries: Queries,
    /// Whether the listeners speak TLS.
    pub is_encrypted: bool,
}

/// Where views are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queries {
    /// At the listener that operators use, too.
    Here,
    At(SocketAddr),
    /// This instance answers none.
    Nowhere,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(detail) => Self::new(Kind::UnknownName, detail),
            Refusal::Wrong(detail) | Refusal::Superseded(detail) => {
                Self::new(Kind::Refused, detail)
            }
            Refusal::World(detail) => {
                tracing::warn!(detail, "an operator's request cannot be carried out now");
                Self::new(Kind::Unavailable, format!("{detail}; ask again when that is over."))
            }
        }
    }
}
