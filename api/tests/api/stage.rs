//! What tests play on: a database with control tables and a model's generation made by hand, and the API over it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tower::ServiceExt;
use vitrina_api::admin::{Access, Lookout, Operators, Queries};
use vitrina_api::{Api, ApiSettings};
use vitrina_avro::{Registry, RegistrySettings};
use vitrina_ingest::KafkaSettings;
use vitrina_projectors::session;
use vitrina_projectors::{Desk, Refusal};

use crate::postgres;

/// A model with a type of each kind, indexes that queries may and may not use, a helper and two views.
const FLIGHT: &str = r#"
CREATE TABLE flight (
    flight_id  text PRIMARY KEY,
    carrier    text NOT NULL,
    gate       text,
    delay      int,
    fare       numeric(8,2) NOT NULL,
    boarding   boolean,
    departs_at timestamptz,
    stops      jsonb NOT NULL DEFAULT '[]',
    tags       text[],
    seal       bytea,
    score      float8,
    code       char(3),
    "order"    int
);
COMMENT ON TABLE flight IS 'Flights of today';
COMMENT ON COLUMN flight.fare IS 'In euros';
CREATE INDEX ON flight (carrier, departs_at DESC);
CREATE INDEX ON flight (delay DESC NULLS LAST, fare);
CREATE INDEX ON flight (score) WHERE score > 0;
CREATE INDEX ON flight (lower(gate));
CREATE INDEX ON flight (code bpchar_pattern_ops);
CREATE TABLE leg (flight_id text, number int, airport text NOT NULL, PRIMARY KEY (flight_id, number));
CREATE TABLE _carrier (carrier text PRIMARY KEY);
CREATE VIEW late AS SELECT flight_id, carrier, delay, delay / 60 AS hours FROM flight WHERE delay > 0;
INSERT INTO flight VALUES
  ('F1', 'KL', 'A1', 5, 99.50, true, '2026-03-01T10:00:00.25Z', '[{"at": "AMS"}]', '{a,"b c"}', '\x00ff', 1.5, 'ab', 1),
  ('F2', 'KL', NULL, NULL, 10.00, NULL, NULL, '[]', NULL, NULL, 'NaN', NULL, 2),
  ('F3', 'BA', 'B,2"', 90, 250.10, false, '2026-03-02T00:00:00Z', '{}', '{}', '\x', -0.1, 'xyz', 3);
INSERT INTO leg VALUES ('F1', 1, 'AMS'), ('F1', 2, 'LIS'), ('a/b', 1, 'OPO');
"#;

pub(crate) struct Stage {
    pub(crate) url: String,
    pub(crate) router: Router,
    pub(crate) postgres: PgConnection,
}

/// A desk at this database; Kafka and the registry are away.
pub(crate) fn operators(url: &str, access: Access) -> Operators {
    let postgres = session::options(url).unwrap();
    let registry =
        RegistrySettings { url: "http://127.0.0.1:1".to_owned(), ..RegistrySettings::default() };
    let desk = Desk {
        pool: session::control_pool(&postgres, 2),
        postgres,
        registry: Arc::new(Registry::new(&registry).unwrap()),
        files: Arc::new(|model| Err(Refusal::Wrong(format!("{model}.sql does not exist here")))),
        file: Arc::new(|_| None),
        kafka: KafkaSettings { brokers: "127.0.0.1:1".to_owned(), properties: BTreeMap::new() },
    };
    Operators {
        access,
        desk,
        lookout: Lookout::default(),
        queries: Queries::Here,
        is_encrypted: false,
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Stage {
    /// Control tables and no model.
    pub(crate) async fn empty() -> Self {
        let url = postgres::database().await;
        let mut postgres = PgConnection::connect(&url).await.unwrap();
        let control = include_str!("../../../projectors/migrations/0001_control.sql");
        postgres::run(
            &mut postgres,
            &format!(
                "CREATE SCHEMA vitrina; SET search_path = vitrina; {control}; RESET search_path"
            ),
        )
        .await;
        let router = Api::new(ApiSettings::new(&url)).unwrap().router();
        Self { url, router, postgres }
    }

    /// With the model `flight`, its first generation live.
    pub(crate) async fn flight() -> Self {
        let mut stage = Self::empty().await;
        stage.generation("flight", 1, FLIGHT).await;
        stage
    }

    /// Makes a generation and swaps to it in one transaction.
    pub(crate) async fn generation(&mut self, model: &str, generation: i32, definition: &str) {
        let own = include_str!("../../../projectors/src/generation/schema/own.sql");
        self.run(&format!(
            r#"BEGIN;
            CREATE SCHEMA "{model}@{generation}"; SET LOCAL search_path = "{model}@{generation}"; {definition}; {own};
            INSERT INTO vitrina.model (model, live, newest) VALUES ('{model}', {generation}, {generation})
                ON CONFLICT (model) DO UPDATE SET live = EXCLUDED.live, newest = EXCLUDED.newest;
            UPDATE vitrina.generation SET state = 'retired' WHERE model = '{model}';
            INSERT INTO vitrina.generation (model, generation, state, layout, definition, used, because)
                VALUES ('{model}', {generation}, 'live', 1, '{{}}', '{{}}', 'a test wants it');
            INSERT INTO "@generation" (layout, serial, model, generation, cluster_id, duplicate_window, definition, used)
                SELECT layout, serial, model, generation, '', 0, definition, used
                FROM vitrina.generation WHERE model = '{model}' AND state = 'live';
            COMMIT"#
        ))
        .await;
    }

    /// An instance that says this of a model, with a reason that is nobody's business.
    pub(crate) async fn worker(&mut self, model: &str, state: &str, updated_at: &str) {
        self.run(&format!(
            "INSERT INTO vitrina.worker (model, generation, instance, state, reason, updated_at)
             VALUES ('{model}', 1, 'i', '{state}', 'secret', {updated_at})
             ON CONFLICT (model, instance) DO UPDATE SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at"
        ))
        .await;
    }

    /// What operators ask; Kafka and the registry are away.
    pub(crate) fn admin(&self, access: Access) -> Router {
        self.admin_with(ApiSettings::new(&self.url), access)
    }

    /// The same, with settings.
    pub(crate) fn admin_with(&self, settings: ApiSettings, access: Access) -> Router {
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Api::new(settings).unwrap().admin_router(metrics, operators(&self.url, access))
    }

    pub(crate) async fn run(&mut self, script: &str) {
        postgres::run(&mut self.postgres, script).await;
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::to(self.router.clone(), request).await
    }

    /// The values of one column of a list that is expected to be found.
    pub(crate) async fn column(&self, uri: &str, column: &str) -> Vec<Value> {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {}", answer.text);
        answer.json()["data"].as_array().unwrap().iter().map(|row| row[column].clone()).collect()
    }

    /// Asserts a problem of a kind at an address, and gives it.
    pub(crate) async fn problem(&self, uri: &str, status: u16, slug: &str) -> Value {
        let answer = self.get(uri).await;
        answer.problem(uri, status, slug)
    }
}

impl Answer {
    pub(crate) async fn to(router: Router, request: Request<Body>) -> Self {
        let response = router.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Self { status: head.status, headers: head.headers, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Null for what is not JSON.
    pub(crate) fn json_or_null(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn problem(&self, uri: &str, status: u16, slug: &str) -> Value {
        assert_eq!(
            (self.status.as_u16(), self.header("content-type")),
            (status, "application/problem+json"),
            "{uri}: {}",
            self.text
        );
        let problem = self.json();
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&format!("/problems/{slug}").into(), &status.into()),
            "{uri}: {}",
            self.text
        );
        problem
    }
}

/// Compares with `tests/golden/NAME.json`; `UPDATE_GOLDEN=1` writes it instead.
pub(crate) fn golden(name: &str, actual: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("json");
    let actual = format!("{actual:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}
