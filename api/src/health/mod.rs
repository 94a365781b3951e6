//! `/livez`, `/readyz` and `/healthz`. Invariant: lag and load make no instance unready; only what it cannot do its job without
//! does.

pub(crate) mod judgement;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::api::Api;
use crate::database::{Binds, Statement};
use crate::problem::{Kind, Problem};

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/healthz", get(judgement::health))
}

/// The process runs and answers.
async fn live() -> &'static str {
    "ok\n"
}

/// Postgres is reached, the control tables are there, and the definitions are loaded.
async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    if !api.definitions_loaded() {
        let detail = "It is beginning: its definitions are not loaded yet, or Postgres was not reached; the service's log says which.";
        return Err(Problem::new(Kind::NotReady, detail));
    }
    let statement = Statement::fixed("SELECT 1 FROM vitrina.model LIMIT 1", Binds::default());
    api.probe().first(statement).await.map_err(|error| {
        tracing::warn!(%error, "not ready");
        let detail = "Postgres is not reached, or holds no schema `vitrina` yet; the service's log says which.";
        Problem::new(Kind::NotReady, detail)
    })?;
    Ok("ok\n")
}
