//! A schema registry in memory: as much of Confluent's API as the registry's client asks for.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Subject and schema, by id − 1.
type Schemas = Arc<Mutex<Vec<(String, String)>>>;
type Answer = (StatusCode, Json<Value>);

/// Starts the registry on a free port; its URL.
pub(super) async fn start(shutdown: CancellationToken) -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/schemas/ids/{id}", get(by_id))
        .with_state(Schemas::default());
    tokio::spawn(async move {
        if let Err(error) =
            axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
        {
            tracing::error!(%error, "the embedded registry ended");
        }
    });
    Ok(url)
}

async fn subjects(State(schemas): State<Schemas>) -> Answer {
    let schemas = schemas.lock().unwrap_or_else(PoisonError::into_inner);
    let mut subjects: Vec<&String> = schemas.iter().map(|(subject, _)| subject).collect();
    subjects.sort();
    subjects.dedup();
    (StatusCode::OK, Json(json!(subjects)))
}

/// Ids and schemas of a subject, its versions in order.
fn of_subject(schemas: &Schemas, subject: &str) -> Vec<(usize, String)> {
    let schemas = schemas.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = (1..).zip(schemas.iter()).filter(|(_, known)| known.0 == subject);
    ids.map(|(id, (_, schema))| (id, schema.clone())).collect()
}

async fn versions(State(schemas): State<Schemas>, Path(subject): Path<String>) -> Answer {
    let found = of_subject(&schemas, &subject);
    if found.is_empty() {
        return missing(40401, "Subject not found");
    }
    (StatusCode::OK, Json(json!((1..=found.len()).collect::<Vec<_>>())))
}

async fn version(
    State(schemas): State<Schemas>,
    Path((subject, version)): Path<(String, usize)>,
) -> Answer {
    let found =
        version.checked_sub(1).and_then(|at| of_subject(&schemas, &subject).into_iter().nth(at));
    match found {
        Some((id, schema)) => (
            StatusCode::OK,
            Json(json!({"subject": subject, "version": version, "id": id, "schema": schema})),
        ),
        None => missing(40402, "Version not found"),
    }
}

fn missing(code: u32, message: &str) -> Answer {
    (StatusCode::NOT_FOUND, Json(json!({"error_code": code, "message": message})))
}

async fn register(
    State(schemas): State<Schemas>,
    Path(subject): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let Some(schema) = body.get("schema").and_then(Value::as_str) else {
        return (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({"error_code": 42201, "message": "no schema"})),
        );
    };
    let mut schemas = schemas.lock().unwrap_or_else(PoisonError::into_inner);
    let known = schemas.iter().position(|known| known.0 == subject && known.1 == schema);
    let index = known.unwrap_or_else(|| {
        schemas.push((subject, schema.to_owned()));
        schemas.len() - 1
    });
    (StatusCode::OK, Json(json!({"id": index + 1})))
}

async fn by_id(State(schemas): State<Schemas>, Path(id): Path<usize>) -> Answer {
    let schemas = schemas.lock().unwrap_or_else(PoisonError::into_inner);
    match id.checked_sub(1).and_then(|index| schemas.get(index)) {
        Some((_, schema)) => (StatusCode::OK, Json(json!({"schema": schema}))),
        None => missing(40403, "Schema not found"),
    }
}
