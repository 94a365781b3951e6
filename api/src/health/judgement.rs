//! `/healthz`: the judgement over all models. Invariant: it says numbers and states, never a record's or an error's text,
//! for it is asked on the public listener, too.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sqlx::postgres::PgRow;
use vitrina_projectors::Live;

use crate::api::Api;
use crate::database::{Binds, DatabaseError, Statement, get};
use crate::json::json;
use crate::problem::{Kind, Problem};
use crate::settings::Thresholds;

/// For so long a model may be without a known lag before anything is wrong: it has just claimed its partitions.
const UNKNOWN: Duration = Duration::from_secs(10);

const HEALTH: &str = include_str!("health.sql");

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    models: Vec<Health>,
}

/// What is known of a model that somebody runs.
#[derive(Debug, Clone, Default, Serialize)]
struct Health {
    model: String,
    /// None: whoever ran it has fallen silent.
    state: Option<String>,
    lag_ms: Option<i64>,
    /// None where the lag is known.
    lag_unknown_since: Option<String>,
    #[serde(skip)]
    unknown_seconds: Option<f64>,
    /// Counted up to one beyond the threshold.
    parked: i64,
    /// Of the last five minutes.
    errors: i64,
    events: i64,
}

/// 200 when all is well; else a problem that lists each model's reasons.
pub(crate) async fn health(Extract(api): Extract<Api>) -> Result<Response, Problem> {
    let thresholds = api.thresholds();
    let models = read(&api, thresholds).await.map_err(|error| {
        tracing::warn!(%error, "health cannot be judged");
        Problem::new(Kind::NotReady, "Postgres is not reached, or holds no schema `vitrina` yet.")
    })?;
    let unwell: Vec<(&str, String)> = models
        .iter()
        .flat_map(|model| model.reasons(thresholds).map(|reason| (&*model.model, reason)))
        .collect();
    if !unwell.is_empty() {
        return Err(Problem::listing(Kind::Unwell, "`vitrina status` says more.", unwell));
    }
    let body = json(&Answer { status: "ok", models })?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response())
}

async fn read(api: &Api, thresholds: &Thresholds) -> Result<Vec<Health>, DatabaseError> {
    let parked = match parked(api, thresholds).await {
        // A swap or a drop came between the generations and their records.
        Err(DatabaseError::Stale(_)) => parked(api, thresholds).await,
        counted => counted,
    }?;
    let rows = api.probe().all(Statement::fixed(HEALTH, Binds::default())).await?;
    rows.iter().map(|row| Health::of(row, &parked)).collect()
}

/// How many records each live generation has parked, counted up to one beyond the threshold.
async fn parked(
    api: &Api,
    thresholds: &Thresholds,
) -> Result<BTreeMap<String, i64>, DatabaseError> {
    let rows = api.probe().all(Statement::fixed(Live::ALL, Binds::default())).await?;
    let live = |row: &PgRow| {
        let (model, generation) = (get(row, "model")?, get(row, "generation")?);
        Ok(Live { model, generation, serial: get(row, "serial")? })
    };
    let live: Vec<Live> = rows.iter().map(live).collect::<Result<_, DatabaseError>>()?;
    let most = i64::from(thresholds.parked) + 1;
    let counts = Live::union(&live, |model, schema| {
        format!(
            r#"SELECT {model} AS model, (SELECT count(*) FROM (SELECT FROM {schema}."@parked" LIMIT {most}) counted) AS parked"#
        )
    });
    let Some(counts) = counts else { return Ok(BTreeMap::new()) };
    let rows = api.probe().all(Statement::free(counts, Binds::default())).await?;
    rows.iter().map(|row| Ok((get(row, "model")?, get(row, "parked")?))).collect()
}

impl Health {
    fn of(row: &PgRow, parked: &BTreeMap<String, i64>) -> Result<Self, DatabaseError> {
        let model: String = get(row, "model")?;
        Ok(Self {
            state: get(row, "state")?,
            lag_ms: get(row, "lag_ms")?,
            lag_unknown_since: get(row, "unknown_since")?,
            unknown_seconds: get(row, "unknown_seconds")?,
            parked: parked.get(&model).copied().unwrap_or(0),
            model,
            errors: get(row, "errors")?,
            events: get(row, "events")?,
        })
    }

    /// Why it is unwell; nothing where it is not.
    fn reasons(&self, thresholds: &Thresholds) -> impl Iterator<Item = String> + use<> {
        let state = match self.state.as_deref() {
            None => Some("no running instance reports on it".to_owned()),
            Some("stopped") => Some("it has stopped".to_owned()),
            Some("breaker_open") => Some("its breaker is open".to_owned()),
            Some(_) => None,
        };
        let (lag, most) = (self.lag_ms.unwrap_or(0), thresholds.lag.as_millis());
        let lag = (i128::from(lag) > most as i128).then(|| {
            format!(
                "it is {:.1} s behind its log, more than {:.1} s",
                lag as f64 / 1e3,
                most as f64 / 1e3
            )
        });
        let parked = (self.parked > thresholds.parked.into())
            .then(|| format!("more than {} of its records are parked", thresholds.parked));
        let allowed = thresholds.error_share * self.events as f64;
        let errors = (self.errors as f64 > allowed).then(|| {
            let (errors, events, share) =
                (self.errors, self.events, thresholds.error_share * 100.0);
            format!("{errors} errors in {events} events within five minutes, more than {share} %")
        });
        [state, lag, self.unknown(thresholds), parked, errors].into_iter().flatten()
    }

    /// A lag that nobody knows may be any; only a model that has just begun is given time, and one that pauses is as its
    /// operator wants it.
    fn unknown(&self, thresholds: &Thresholds) -> Option<String> {
        let since = self.lag_unknown_since.as_ref()?;
        let patience = match self.state.as_deref()? {
            "starting" => thresholds.lag,
            "paused" | "stopped" => return None,
            _ => UNKNOWN.min(thresholds.lag),
        };
        (self.unknown_seconds? > patience.as_secs_f64())
            .then(|| format!("how far it is behind its log is unknown since {since}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(health: Health) -> Vec<String> {
        let live = Health { state: health.state.or(Some("live".to_owned())), ..health };
        live.reasons(&Thresholds::default()).collect()
    }

    #[test]
    fn at_the_thresholds_all_is_well_and_beyond_them_nothing_is() {
        let at = Health {
            lag_ms: Some(30_000),
            parked: 10,
            errors: 5,
            events: 100,
            ..Health::default()
        };
        assert!(reasons(at).is_empty() && reasons(Health::default()).is_empty());
        let beyond = Health {
            lag_ms: Some(30_001),
            parked: 11,
            errors: 6,
            events: 100,
            ..Health::default()
        };
        assert_eq!(
            reasons(beyond),
            [
                "it is 30.0 s behind its log, more than 30.0 s",
                "more than 10 of its records are parked",
                "6 errors in 100 events within five minutes, more than 5 %",
            ]
        );
        assert_eq!(reasons(Health { errors: 1, ..Health::default() }).len(), 1);
    }

    #[test]
    fn a_lag_that_is_unknown_is_not_well() {
        let unwell = |state: &str, seconds| {
            let lag_unknown_since = Some("2026-03-01T12:00:00Z".to_owned());
            let (state, unknown_seconds) = (Some(state.to_owned()), Some(seconds));
            reasons(Health { state, lag_unknown_since, unknown_seconds, ..Health::default() })
        };
        let reason = "how far it is behind its log is unknown since 2026-03-01T12:00:00Z";
        for state in ["catching_up", "live", "waiting"] {
            assert_eq!(unwell(state, 10.1), [reason], "{state}");
            assert!(unwell(state, 9.9).is_empty(), "{state}");
        }
        assert!(unwell("starting", 29.9).is_empty() && unwell("paused", 1e9).is_empty());
        assert_eq!(unwell("starting", 30.1), [reason]);
        assert_eq!(unwell("stopped", 1e9), ["it has stopped"]);
    }

    #[test]
    fn states_that_do_not_pass_by_themselves_are_unwell() {
        let of = |state: &str| {
            reasons(Health { state: Some(state.to_owned()), ..Health::default() }).len()
        };
        for state in ["starting", "catching_up", "live", "waiting", "paused"] {
            assert_eq!(of(state), 0, "{state}");
        }
        assert_eq!((of("stopped"), of("breaker_open")), (1, 1));
        assert_eq!(Health::default().reasons(&Thresholds::default()).count(), 1);
    }
}
