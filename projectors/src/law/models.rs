//! Random models: one to three tables, a view, two to five rules over two or three event types.

use vitrina_sql::Files;

use super::dice::Dice;
use super::events::{RELATIONS, contracts};
use super::every;
use super::tables::Table;
use super::values::Place;
use super::{changes, inserts};
use crate::definition::{Definition, Definitions, Roots};

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) sql: String,
    /// Which forms it is made of.
    pub(super) tags: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Tables, indexes and views.
    pub(super) head: String,
    pub(super) tags: Vec<&'static str>,
    pub(super) rules: Vec<Rule>,
}

/// What its rules are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Merging,
    Keyed,
    /// Whatever may touch all rows.
    Wild,
    Calm,
}

impl Model {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let style = dice.weigh(&[
            (35, Style::Merging),
            (15, Style::Keyed),
            (25, Style::Wild),
            (25, Style::Calm),
        ]);
        let (keyed, merging) = (style == Style::Keyed, style == Style::Merging);
        let names = ["m", "h", "l"];
        let count = dice.weigh(&[(4, 1), (4, 2), (1, 3)]);
        let tables: Vec<Table> =
            names[..count].iter().map(|name| Table::draw(dice, name, keyed, merging)).collect();
        let relations = dice.pick(if keyed {
            &[[0, 1, 1], [0, 1, 0]]
        } else {
            &[[0, 1, 1], [0, 1, 2], [0, 2, 2], [0, 0, 1]]
        });
        let place = Place {
            tables: &tables,
            joined: None,
            keyed,
            merging,
            wild: style == Style::Wild,
            event: true,
        };
        let mut rules = Vec::new();
        for at in 0..2 + dice.below(4) {
            // The first rule fills the first table; without rows there is nothing to differ.
            let table = if at == 0 || dice.chance(55) {
                &tables[0]
            } else {
                &tables[dice.below(tables.len())]
            };
            let (context, event, _) = RELATIONS[dice.pick(&relations)];
            let relation = format!("{context}.{event}");
            rules.push(match dice.below(100) {
                _ if at == 0 => inserts::draw(dice, table, &relation, place),
                0..42 => inserts::draw(dice, table, &relation, place),
                42..80 => changes::update(dice, table, &relation, place),
                _ => changes::delete(dice, table, &relation, place),
            });
        }
        if !keyed {
            every::show(&mut dice.clone(), &mut rules);
        }
        let view = dice.pick(&[
            "SELECT k, n FROM m",
            "SELECT k FROM m WHERE n > 1",
            "SELECT n, count(*) FROM m GROUP BY n",
        ]);
        let head: String = tables.iter().map(Table::sql).collect();
        let tags = tables.iter().flat_map(|table| table.tags.clone()).collect();
        Self { head: format!("{head}CREATE VIEW v AS {view};\n"), tags, rules }
    }

    /// One that was written by hand: nothing of it is left out when a case is made smaller.
    pub(super) fn fixed(text: &str) -> Self {
        Self { head: text.to_owned(), tags: Vec::new(), rules: Vec::new() }
    }

    pub(super) fn text(&self) -> String {
        let rules = self.rules.iter().map(|rule| format!("{};\n", rule.sql));
        format!("{}{}", self.head, rules.collect::<String>())
    }
}

/// # Errors
/// What is refused.
pub(super) fn load(text: &str) -> Result<Definition, String> {
    let mut files: Vec<(&str, String)> = contracts();
    files.push(("m/law.sql", text.to_owned()));
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text));
    let roots = Roots { contracts: "c".into(), models: "m".into() };
    let mut loaded = Definitions::load(&Files(files.collect()), &roots);
    let told = || loaded.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    match loaded.models.len() {
        1 => Ok(loaded.models.remove(0)),
        _ => Err(told()),
    }
}
