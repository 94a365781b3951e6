//! Reads a test file: every word of it is known, and all that is wrong is said at once.

mod expected;
mod record;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;
use vitrina_projectors::Definitions;
use vitrina_projectors::rehearsal::Schemas;
use vitrina_sql::Place;

use self::expected::Whose;
use self::table::Table;
use super::file::{Given, Test, TestFile, Then};
use super::mark::Wrong;

const FILE: &[&str] = &["test"];
const TEST: &[&str] = &["name", "order", "given", "then", "role", "claims"];

type Span = Range<usize>;

/// Reads the tests of a file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(
    (name, path): (&str, &Path),
    text: String,
    definitions: &Definitions,
    schemas: &Schemas,
) -> Result<TestFile, Vec<Wrong>> {
    let mut reading = Reading { name, text: &text, definitions, schemas, wrong: Vec::new() };
    let tests = reading.file();
    let wrong = reading.wrong;
    match wrong.is_empty() {
        true => Ok(TestFile { name: name.to_owned(), path: path.to_owned(), text, tests }),
        false => Err(wrong),
    }
}

struct Reading<'r> {
    name: &'r str,
    text: &'r str,
    definitions: &'r Definitions,
    schemas: &'r Schemas,
    wrong: Vec<Wrong>,
}

impl Reading<'_> {
    fn find(&mut self, span: Span, what: impl Into<String>, help: impl Into<String>) {
        self.wrong.push(Wrong::new((self.name, self.text), span, what, help));
    }

    fn line(&self, span: &Span) -> usize {
        Place::of(self.text, span.start).line
    }

    fn file(&mut self) -> Vec<Test> {
        let text = self.text;
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let what = format!("this is no TOML: {}", error.message());
                self.find(error.span().unwrap_or_default(), what, "write it as TOML has it");
                return Vec::new();
            }
        };
        self.know(table.get_ref(), "a test file", FILE);
        let tests = self.tables(table.get_ref(), "test");
        if tests.is_empty() && self.wrong.is_empty() {
            self.find(0..0, "the file holds no test", "begin one with [[test]]");
        }
        tests.into_iter().map(|(test, span)| self.test(test, span)).collect()
    }

    fn test(&mut self, table: &Table<'_>, span: Span) -> Test {
        self.know(table, "[[test]]", TEST);
        let missing = ("the test has no name", "write name = \"what it shows\"");
        let name =
            self.needed(table, "name", &span, missing).map(|(name, _)| name).unwrap_or_default();
        let any_order = match self.text_of(table, "order") {
            None => true,
            Some((order, _)) if order == "any" || order == "given" => order == "any",
            Some((order, span)) => {
                let what = format!("there is no order {order:?}");
                self.find(
                    span,
                    what,
                    "write \"any\", or \"given\" where the written order is meant",
                );
                true
            }
        };
        let mut partitions = BTreeMap::new();
        let mut given = Vec::new();
        for (number, (table, span)) in self.tables(table, "given").into_iter().enumerate() {
            given.extend(self.given(table, span, number, &mut partitions));
        }
        let whose = self.whose(table, Whose::default());
        let thens = self.tables(table, "then");
        if thens.is_empty() && !table.contains_key("then") {
            let help = "add a [[test.then]] with get and rows, or with parked";
            self.find(span.clone(), "the test expects nothing", help);
        }
        let mut then = Vec::new();
        for (table, span) in thens {
            self.then(table, span, &whose, &mut then);
        }
        let models = self.models(&given, &then, span.clone());
        Test { name, line: self.line(&span), any_order, given, then, models }
    }

    /// The models that a test is about: those whose views are asked for, and the one that the file is named after; where there
    /// is neither, all that read an event which is given.
    fn models(&mut self, given: &[Given], then: &[Then], span: Span) -> BTreeSet<String> {
        let definitions = self.definitions;
        let is_model = |name: &str| {
            definitions.models.iter().any(|model| model.model.name == name)
                || definitions.broken.contains_key(name)
        };
        let stem = Path::new(self.name).file_stem().and_then(|stem| stem.to_str());
        let named = then.iter().filter_map(|then| match then {
            Then::Answer(answer) => view_of(&answer.address)?.split('.').next(),
            Then::Parked(_) => None,
        });
        let mut models: BTreeSet<String> =
            named.chain(stem).filter(|name| is_model(name)).map(str::to_owned).collect();
        if models.is_empty() {
            let reads = |model: &&vitrina_projectors::Definition| {
                let events = || model.layouts.iter().flat_map(|layout| layout.contract.events());
                given.iter().any(|given| events().any(|event| event.relation() == given.relation))
            };
            let readers = definitions.models.iter().filter(reads);
            models.extend(readers.map(|model| model.model.name.clone()));
        }
        if models.is_empty() && self.wrong.is_empty() {
            let help = "name a view in `get`, or call the file after its model, MODEL.toml";
            self.find(span, "the test is about no model that there is", help);
        }
        models
    }
}

/// The view that an address asks for.
fn view_of(address: &str) -> Option<&str> {
    let rest = ["/v1/views/", "/v1/schemas/"].iter().find_map(|root| address.strip_prefix(root))?;
    rest.split(['/', '?']).next().filter(|view| !view.is_empty())
}
