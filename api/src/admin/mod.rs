//! What operators see and decide, over HTTP. Each route calls what the command line calls, so the two cannot drift; what
//! is decided is written by `projectors`' desk, and running instances follow.

pub(crate) mod gate;
pub(crate) mod lookout;
mod models;
mod operators;
mod parked;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use gate::Access;
pub(crate) use gate::By;
pub use lookout::Lookout;
pub use operators::{Operators, Queries};
pub use parked::{History, ParkedList, RecordAnswer, VersionAnswer};

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(operators: Operators) -> Router<S> {
    let gate = from_fn_with_state(operators.access.clone(), gate::admit);
    Router::new()
        .route("/admin/v1/models", get(models::models))
        .route("/admin/v1/models/{model}/pause", post(models::pause))
        .route("/admin/v1/models/{model}/resume", post(models::resume))
        .route("/admin/v1/models/{model}/rebuild", post(models::rebuild))
        .route("/admin/v1/models/{model}/cancel", post(models::cancel))
        .route("/admin/v1/models/{model}/swap", post(models::swap))
        .route("/admin/v1/models/{model}/rollback", post(models::rollback))
        .route("/admin/v1/models/{model}/drop", post(models::drop))
        .route("/admin/v1/parked", get(parked::list))
        .route("/admin/v1/parked/history", get(parked::history))
        .route("/admin/v1/parked/retry", post(parked::retry_all))
        .route("/admin/v1/parked/{id}", get(parked::show))
        .route("/admin/v1/parked/{id}/retry", post(parked::retry))
        .route("/admin/v1/parked/{id}/discard", post(parked::discard))
        .layer(gate)
        .with_state(operators)
}
