//! `GET /console/parked`: what could not be applied, by the reason; and trying all of it again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use vitrina_projectors::Retried;
use vitrina_projectors::parked::{self, Parked};

use super::Console;
use super::deed::{Ask, Done};
use super::frame::{Frame, Tab, html};
use super::sorry::Sorry;
use super::words::{counted, grouped, moment};
use crate::admin::By;
use crate::query::Parameters;
use crate::query::path::encode;

/// Records that are looked at; beyond, nobody reads a page.
const MOST: i64 = 1000;
/// Records of one reason that are listed.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "console/parked.html")]
struct Page {
    frame: Frame,
    model: Option<String>,
    summary: String,
    retry_address: String,
    groups: Vec<Group>,
}

/// Records that are parked for one reason.
struct Group {
    model: String,
    reason: String,
    waits: bool,
    rule: Option<String>,
    sqlstate: Option<String>,
    count: i64,
    records: Vec<ShownRecord>,
    more: usize,
}

/// A record in a list, or on its page.
pub(super) struct ShownRecord {
    pub(super) id: i64,
    pub(super) address: String,
    pub(super) key: Option<String>,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: String,
    pub(super) at: String,
    pub(super) attempts: i32,
    pub(super) behind: Option<i64>,
}

impl ShownRecord {
    pub(super) fn new(parked: &Parked) -> Self {
        Self {
            id: parked.id,
            address: format!("/console/parked/{}", parked.id),
            key: parked.key_text(),
            topic: parked.topic.clone(),
            partition: parked.partition,
            offset: grouped(parked.offset),
            at: moment(&parked.at),
            attempts: parked.attempts,
            behind: parked.behind,
        }
    }
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the parked records' page", &["model"])?;
    let model = parameters.get("model");
    let records = parked::list(&console.operators.desk.pool, model, 0, MOST).await?;
    let by = model.map(|model| format!(" by {model}")).unwrap_or_default();
    let summary = match records.len() as i64 {
        0 => format!("Nothing is parked{by}."),
        MOST.. => format!("These are the first {}.", counted(MOST, "record")),
        1 => format!("1 record is parked{by}."),
        number => format!("{} are parked{by}.", counted(number, "record")),
    };
    let page = Page {
        frame: console.frame(Tab::Parked),
        model: model.map(str::to_owned),
        summary,
        retry_address: retry_address(model),
        groups: groups(&records),
    };
    Ok(html(StatusCode::OK, &page))
}

fn retry_address(model: Option<&str>) -> String {
    let of = model.map(|model| format!("?model={}", encode(model))).unwrap_or_default();
    format!("/console/parked/retry{of}")
}

/// Model, reason and rule.
type Cause<'a> = (&'a str, &'a str, Option<&'a str>);

/// What all those have in common that only wait.
const WAITS: &str = "Waits behind another record of its key";

/// The reasons with the most records first; those that only wait behind others come last.
fn groups(records: &[Parked]) -> Vec<Group> {
    let mut groups: BTreeMap<Cause<'_>, Vec<&Parked>> = BTreeMap::new();
    for record in records {
        let reason = match record.behind {
            Some(_) => WAITS,
            None => &record.reason,
        };
        groups.entry((&record.model, reason, record.rule.as_deref())).or_default().push(record);
    }
    let group = |((model, reason, rule), records): (Cause<'_>, Vec<&Parked>)| Group {
        model: model.to_owned(),
        waits: reason == WAITS,
        reason: reason.to_owned(),
        rule: rule.map(str::to_owned),
        sqlstate: records.first().and_then(|record| record.sqlstate.clone()),
        count: records.len() as i64,
        records: records.iter().take(SHOWN).map(|record| ShownRecord::new(record)).collect(),
        more: records.len().saturating_sub(SHOWN),
    };
    let mut groups: Vec<Group> = groups.into_iter().map(group).collect();
    groups.sort_by_key(|group| (group.waits, Reverse(group.count)));
    groups
}

pub(super) async fn ask_all(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the address of retries", &["model"])?;
    let model = parameters.get("model");
    let of = model.map(|model| format!(" of {model}")).unwrap_or_default();
    let page = Ask {
        frame: console.frame(Tab::Parked),
        title: &format!("Retry all that is parked{of}"),
        detail: "Each key's records are applied in their order, up to the first that fails again. What was applied before is not applied twice.",
        button: "Retry all",
        is_grave: false,
        boxes: &[],
        wants_reason: false,
        address: &retry_address(model),
        back: "/console/parked",
    };
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn retry_all(
    State(console): State<Console>,
    Extension(By(by)): Extension<By>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    let parameters = Parameters::parse(uri.query())?;
    parameters.only("the address of retries", &["model"])?;
    let retried = console.operators.desk.retry_all(parameters.get("model"), by).await?;
    Ok(told(&console, "Retry all that is parked", &retried))
}

/// What came of a retry.
pub(super) fn told(console: &Console, title: &str, retried: &Retried) -> Response {
    let Retried { applied, still_parked } = retried;
    let applied = counted(i64::try_from(*applied).unwrap_or(i64::MAX), "record");
    let still = still_parked.len() as i64;
    let again =
        format!("{applied} left what is parked; {} failed again.", counted(still, "record"));
    let failed = still_parked.iter().take(SHOWN);
    let failed = failed.map(|record| format!("{}: {}", record.id, record.reason));
    let page = Done {
        frame: console.frame(Tab::Parked),
        title,
        lines: [again].into_iter().chain(failed).collect(),
        is_well: still_parked.is_empty(),
        back: "/console/parked",
    };
    html(StatusCode::OK, &page)
}
