//! `GET /console/models/{model}/rules`: what the live generation runs, as `check --explain` tells it, beside its text.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use vitrina_projectors::{Definition, Explained, ExplainedRule};

use super::Console;
use super::frame::{Frame, Tab, html};
use super::sorry::Sorry;
use crate::query::Parameters;
use crate::query::path::{encode, segments};

#[derive(Template)]
#[template(path = "console/rules.html")]
struct Page<'a> {
    frame: Frame,
    model: &'a str,
    address: String,
    file: &'a str,
    explained: Explained,
    contracts: Vec<ShownContract<'a>>,
    lines: Vec<Line<'a>>,
}

struct ShownContract<'a> {
    relation: String,
    topic: &'a str,
    versions: usize,
    columns: String,
}

/// A line of the model's text.
struct Line<'a> {
    number: usize,
    text: &'a str,
    /// The rule that begins here.
    rule: Option<&'a ExplainedRule>,
}

pub(super) async fn page(
    State(console): State<Console>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Sorry> {
    Parameters::parse(uri.query())?.only("the address of a model's rules", &[])?;
    let model = segments(&uri)?.into_iter().next().unwrap_or_default();
    let definition = console.operators.desk.definition(&model).await?;
    let explained = definition.explained();
    let rules: BTreeMap<usize, &ExplainedRule> =
        explained.rules.iter().map(|rule| (rule.line, rule)).collect();
    let file = &definition.model.file;
    let text = definition.files.0.get(file).map(|text| &**text).unwrap_or_default();
    let lines = text.lines().zip(1..).map(|(text, number)| Line {
        number,
        text,
        rule: rules.get(&number).copied(),
    });
    let page = Page {
        frame: console.frame(Tab::Overview),
        model: &model,
        address: format!("/console/models/{}", encode(&model)),
        file,
        lines: lines.collect(),
        contracts: contracts(&definition),
        explained: explained.clone(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// The contracts that the rules name.
fn contracts(definition: &Definition) -> Vec<ShownContract<'_>> {
    let contracts = definition.layouts.iter().map(|layout| &layout.contract);
    let shown = contracts.map(|contract| {
        let context = definition.contracts.contexts.get(&contract.context);
        let newest = contract.versions.last();
        let columns = newest.into_iter().flat_map(|version| &version.columns);
        let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        ShownContract {
            relation: contract.relation(),
            topic: context.map(|context| &*context.topic).unwrap_or_default(),
            versions: contract.versions.len(),
            columns: columns.join(", "),
        }
    });
    shown.collect()
}
