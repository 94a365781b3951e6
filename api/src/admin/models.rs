//! How the models are, and whether they run.

use std::time::Duration;

use axum::extract::{OriginalUri, State};
use axum::{Extension, Json};
use serde_json::{Value, json};
use vitrina_projectors::{Desk, Rebuild, Rebuilt, Resumed, Status};

use super::gate::By;
use super::operators::Operators;
use crate::problem::{Kind, Problem};
use crate::query::Parameters;
use crate::query::path;

/// How long Postgres and Kafka may take for all of their answers.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn models(
    State(operators): State<Operators>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Status>, Problem> {
    Parameters::parse(uri.query())?.only("the models' address", &[])?;
    Ok(Json(status(&operators.desk).await?))
}

/// How all models are.
pub(crate) async fn status(desk: &Desk) -> Result<Status, Problem> {
    read(desk).await.map_err(|why| {
        tracing::warn!(why, "the models' states cannot be read");
        Problem::new(
            Kind::Unavailable,
            "Postgres does not answer, or holds no schema `vitrina` yet; ask again later.",
        )
    })
}

/// The same, or why it cannot be told.
pub(crate) async fn read(desk: &Desk) -> Result<Status, String> {
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut connection = desk.pool.acquire().await?;
        Status::read(&mut connection, &desk.kafka).await
    });
    let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
    asked.await.map_err(late)?.map_err(|error: sqlx::Error| error.to_string())
}

pub(super) async fn pause(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let model = model(&uri)?;
    operators.desk.pause(&model, by).await?;
    Ok(Json(json!({ "model": model, "paused": true })))
}

pub(super) async fn resume(
    State(operators): State<Operators>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let model = model(&uri)?;
    let Resumed { instances, state, reason } = operators.desk.resume(&model).await?;
    Ok(Json(
        json!({ "model": model, "paused": false, "instances": instances, "state": state, "reason": reason }),
    ))
}

pub(super) async fn rebuild(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Rebuilt>, Problem> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the address of rebuilds", &["as_live", "allow_shorter_history"])?;
    let how = Rebuild {
        as_live: flag(&parameters, "as_live")?,
        allow_shorter_history: flag(&parameters, "allow_shorter_history")?,
    };
    let model = path::segments(&uri)?.into_iter().nth(1).unwrap_or_default();
    Ok(Json(operators.desk.rebuild(&model, how, by).await?))
}

fn flag(parameters: &Parameters, name: &str) -> Result<bool, Problem> {
    match parameters.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let detail = format!("`{name}` is `{other}`: write true or false.");
            Err(Problem::of(Kind::BadValue, name, detail, ["true", "false"]))
        }
    }
}

pub(super) async fn swap(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let model = model(&uri)?;
    let generation = operators.desk.swap(&model, by).await?;
    Ok(Json(json!({ "model": model, "generation": generation })))
}

pub(super) async fn rollback(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let model = model(&uri)?;
    let generation = operators.desk.rollback(&model, by).await?;
    Ok(Json(json!({ "model": model, "generation": generation })))
}

/// With `generation=N` that one, else the model with all its data.
pub(super) async fn drop(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the address of drops", &["generation", "yes"])?;
    let model = path::segments(&uri)?.into_iter().nth(1).unwrap_or_default();
    let Some(generation) = parameters.get("generation") else {
        operators.desk.drop_model(&model, flag(&parameters, "yes")?, by).await?;
        return Ok(Json(json!({ "model": model, "dropped": true })));
    };
    let generation: i32 = generation.parse().map_err(|_| {
        let detail = format!("`generation` is `{generation}`: write a number.");
        Problem::of(Kind::BadValue, "generation", detail, ["2"])
    })?;
    operators.desk.drop_generation(&model, generation, by).await?;
    Ok(Json(json!({ "model": model, "generation": generation, "dropped": true })))
}

pub(super) async fn cancel(
    State(operators): State<Operators>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<Value>, Problem> {
    let model = model(&uri)?;
    let cancelled = operators.desk.cancel(&model, by).await?;
    Ok(Json(json!({ "model": model, "generation": cancelled, "cancelled": true })))
}

/// Of `/admin/v1/models/{model}/…`.
fn model(uri: &axum::http::Uri) -> Result<String, Problem> {
    Parameters::parse(uri.query())?.only("a model's address", &[])?;
    Ok(path::segments(uri)?.into_iter().nth(1).unwrap_or_default())
}
