//! What operators see and decide, over HTTP. Each route calls what the command line calls, so the two cannot drift; what
//! is decided is written by `projectors`' desk, and running instances follow.

mod gate;
mod models;
mod parked;
mod status;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use vitrina_ingest::KafkaSettings;
use vitrina_projectors::parked::{Desk, Refusal};

pub use gate::Access;
pub use parked::{ParkedList, RecordAnswer, VersionAnswer};
pub use status::{ModelStatus, PartitionStatus, Status};

use crate::api::Api;
use crate::problem::{Kind, Problem};

/// What the admin routes work with.
#[derive(Clone)]
pub struct Operators {
    pub access: Access,
    pub desk: Desk,
    /// For the ends of topics.
    pub kafka: KafkaSettings,
}

/// Who decided, as it is written down beside the decision.
const BY: &str = "the admin API";

pub(crate) fn routes(operators: Operators) -> Router<Api> {
    let gate = from_fn_with_state(operators.access.clone(), gate::admit);
    Router::new()
        .route("/admin/v1/models", get(models::models))
        .route("/admin/v1/models/{model}/pause", post(models::pause))
        .route("/admin/v1/models/{model}/resume", post(models::resume))
        .route("/admin/v1/parked", get(parked::list))
        .route("/admin/v1/parked/retry", post(parked::retry_all))
        .route("/admin/v1/parked/{id}", get(parked::show))
        .route("/admin/v1/parked/{id}/retry", post(parked::retry))
        .route("/admin/v1/parked/{id}/discard", post(parked::discard))
        .layer(gate)
        .with_state(operators)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(detail) => Self::new(Kind::UnknownName, detail),
            Refusal::Wrong(detail) => Self::new(Kind::Refused, detail),
            Refusal::World(detail) => {
                tracing::warn!(detail, "an operator's request cannot be carried out now");
                Self::new(Kind::Unavailable, format!("{detail}; ask again when that is over."))
            }
        }
    }
}
