//! Reads what is expected: answers of the API, whoever asks, and records that are parked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;
use vitrina_api::{Bearer, Reader};
use vitrina_avro::parse_json;

use super::table::Table;
use super::{Reading, Span};
use crate::testing::file::{Answer, Parked, ParkedRecord, Rows, Then};
use crate::testing::json::json;

const THEN: &[&str] = &["get", "rows", "status", "parked", "role", "claims"];
const PARKED: &[&str] = &["event", "reason"];

/// Who has no role at all.
const PUBLIC: &str = "PUBLIC";

/// Whose rights a request has, as a table says; none: everything may be read.
#[derive(Clone, Default)]
pub(super) struct Whose(Option<Reader>);

impl Reading<'_> {
    pub(super) fn then(
        &mut self,
        table: &Table<'_>,
        span: Span,
        whose: &Whose,
        then: &mut Vec<Then>,
    ) {
        self.know(table, "[[test.then]]", THEN);
        let line = self.line(&span);
        if !table.contains_key("get") && !table.contains_key("parked") {
            let help = "write get = \"/v1/views/…\" with rows, or parked = [{ event = \"…\" }]";
            self.find(span, "nothing is expected here", help);
            return;
        }
        let whose = self.whose(table, whose.clone());
        if let Some((address, at)) = self.text_of(table, "get") {
            if !address.starts_with('/') {
                let help = "write the path and the query, as in /v1/views/order_summary?limit=2";
                self.find(at.clone(), "this is no address of the API", help);
            }
            let rows = self.rows(table);
            let status = self.whole(table, "status");
            let status = status.and_then(|status| u16::try_from(status).ok());
            let reader = whose.0;
            then.push(Then::Answer(Answer { line, address, reader, status, rows, behind: at.end }));
        }
        if let Some(parked) = table.get("parked") {
            let records = self.parked(parked);
            then.push(Then::Parked(Parked { line, records, span: parked.span() }));
        }
    }

    /// The expected rows: tables, or JSON objects as texts; one alone needs no list around it.
    fn rows(&mut self, table: &Table<'_>) -> Option<Rows> {
        let rows = table.get("rows")?;
        let items: Vec<&Spanned<DeValue<'_>>> = match rows.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![rows],
        };
        let mut read: Vec<Map<String, Value>> = Vec::new();
        let mut columns: Vec<(usize, String)> = Vec::new();
        for item in items {
            if let DeValue::Table(row) = item.get_ref() {
                columns.extend(row.keys().map(|key| (key.span().start, key.get_ref().to_string())));
            }
            let value = match item.get_ref() {
                DeValue::String(text) => parse_json(text).unwrap_or_default(),
                other => json(other),
            };
            match value {
                Value::Object(row) => read.push(row),
                _ => {
                    let help = "write { column = value, … }, or a JSON object between quotes";
                    self.find(item.span(), "this is no row", help);
                }
            }
        }
        columns.sort();
        let named = read.iter().flat_map(Map::keys).cloned();
        let mut told: Vec<String> = Vec::new();
        for name in columns.into_iter().map(|(_, name)| name).chain(named) {
            if !told.contains(&name) {
                told.push(name);
            }
        }
        Some(Rows { rows: read, columns: told, span: rows.span() })
    }

    fn parked(&mut self, list: &Spanned<DeValue<'_>>) -> Vec<ParkedRecord> {
        let DeValue::Array(items) = list.get_ref() else {
            let help = "write parked = [{ event = \"…\", reason = \"…\" }]";
            self.find(list.span(), "this is no list of records", help);
            return Vec::new();
        };
        let mut records = Vec::new();
        for item in items {
            let DeValue::Table(table) = item.get_ref() else {
                let help = "write { event = \"…\", reason = \"a part of it\" }";
                self.find(item.span(), "this is no parked record", help);
                continue;
            };
            self.know(table, "parked", PARKED);
            let reason = self.text_of(table, "reason").map(|(reason, _)| reason);
            let missing = ("the record has no event", "write event = \"context.event\"");
            if let Some((event, at)) = self.needed(table, "event", &item.span(), missing) {
                let _ = self.event(&event, at);
                records.push(ParkedRecord { event, reason });
            }
        }
        records
    }

    /// Whose rights hold: of the role and the claims here, else of `above`.
    pub(super) fn whose(&mut self, table: &Table<'_>, above: Whose) -> Whose {
        let (role, claims) = (table.get("role"), table.get("claims"));
        if role.is_none() && claims.is_none() {
            return above;
        }
        let mut reader = above
            .0
            .unwrap_or_else(|| Reader { bearer: Some(Bearer::Token(None)), ..Reader::default() });
        if let Some(role) = role {
            match roles(role.get_ref()) {
                Some(roles) if roles.contains(PUBLIC) => return Whose(Some(Reader::anonymous())),
                Some(roles) => reader.roles = roles,
                None => {
                    let help = "write role = \"staff\", or several in a list; \"PUBLIC\" is who sends no token";
                    self.find(role.span(), "this is no role", help);
                }
            }
        }
        if let Some(claims) = claims {
            match json(claims.get_ref()) {
                Value::Object(claims) => reader.claims = claims,
                _ => {
                    let help = "write claims = { sub = \"…\" }";
                    self.find(claims.span(), "claims are a table", help);
                }
            }
        }
        Whose(Some(reader))
    }
}

fn roles(value: &DeValue<'_>) -> Option<BTreeSet<String>> {
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    match value {
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect(),
        other => text(other).map(|role| BTreeSet::from([role])),
    }
}
