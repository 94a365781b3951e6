//! The operators' page. Invariant: it reads and decides through what `/v1` and `/admin/v1` read and decide through, and is
//! let in as `/admin/v1` is; a GET changes nothing; whatever comes from events is text, and the page runs no script but its
//! own files.

mod asset;
mod chart;
mod deed;
mod door;
mod equivalent;
mod form;
mod frame;
mod generation;
mod model;
mod overview;
mod parked;
mod record;
mod rules;
mod session;
mod sorry;
mod view;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use vitrina_projectors::Status;

use crate::admin::Operators;
use crate::api::Api;
use crate::problem::Problem;

/// What its pages are made with.
#[derive(Clone)]
struct Console {
    api: Api,
    operators: Operators,
}

impl Console {
    /// How all models are.
    async fn status(&self) -> Result<Arc<Status>, Problem> {
        self.operators.lookout.status(&self.operators.desk).await
    }
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    api: Api,
    operators: Operators,
) -> Router<S> {
    let console = Console { api, operators };
    let behind_the_door = Router::new()
        .route("/", get(overview::page))
        .route("/console/models/{model}", get(model::page))
        .route("/console/models/{model}/rules", get(rules::page))
        .route("/console/models/{model}/{deed}", get(deed::ask).post(deed::answer))
        .route("/console/views", get(view::index))
        .route("/console/views/{view}", get(view::page))
        .route("/console/parked", get(parked::page))
        .route("/console/parked/retry", get(parked::ask_all).post(parked::retry_all))
        .route("/console/parked/{id}", get(record::page).post(record::payload))
        .route("/console/parked/{id}/retry", get(record::ask_retry).post(record::retry))
        .route("/console/parked/{id}/discard", get(record::ask_discard).post(record::discard))
        .layer(from_fn_with_state(console.clone(), door::admit));
    let open = Router::new()
        .route("/console/sign-in", get(door::ask).post(door::sign_in))
        .route("/console/sign-out", post(door::sign_out))
        .route("/console/{asset}", get(asset::file));
    behind_the_door.merge(open).layer(map_response(frame::guarded)).with_state(console)
}
