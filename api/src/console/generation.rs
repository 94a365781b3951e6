//! A generation, as pages show it.

use vitrina_projectors::{GenerationStatus, TableComparison};

use super::words::{grouped, moment, percent};

pub(super) struct ShownGeneration {
    pub(super) number: i32,
    pub(super) state: String,
    pub(super) began: String,
    pub(super) because: String,
    pub(super) reason: Option<String>,
    pub(super) progress: Option<ShownProgress>,
    pub(super) comparison: Option<Vec<ShownTable>>,
}

pub(super) struct ShownProgress {
    pub(super) percent: i64,
    pub(super) words: String,
}

/// A table of the live generation against the same of the one that is built.
pub(super) struct ShownTable {
    pub(super) name: String,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) verdict: String,
    pub(super) is_equal: bool,
    pub(super) sample: Vec<ShownDifference>,
}

pub(super) struct ShownDifference {
    pub(super) key: String,
    pub(super) old: String,
    pub(super) new: String,
}

impl ShownGeneration {
    pub(super) fn new(generation: &GenerationStatus) -> Self {
        let progress = generation.progress.as_ref().filter(|progress| progress.total > 0);
        Self {
            number: generation.generation,
            state: generation.state.clone(),
            began: moment(&generation.began),
            because: generation.because.clone(),
            reason: generation.reason.clone(),
            progress: progress.map(|progress| ShownProgress {
                percent: percent(progress.done, progress.total),
                words: progress.to_string(),
            }),
            comparison: generation
                .comparison
                .as_ref()
                .map(|tables| tables.iter().map(ShownTable::new).collect()),
        }
    }

    pub(super) fn is_built(&self) -> bool {
        matches!(self.state.as_str(), "queued" | "building")
    }
}

impl ShownTable {
    fn new(table: &TableComparison) -> Self {
        let rows = |rows: Option<i64>| rows.map_or_else(|| "no table".to_owned(), grouped);
        let [old, new] = table.rows.map(rows);
        let mut verdict = match &table.failed {
            Some(why) => format!("not compared: {why}"),
            None if table.equal => "equal".to_owned(),
            None => format!("{} differ", grouped(table.differing)),
        };
        for (what, columns) in [("new", &table.columns_added), ("gone", &table.columns_gone)] {
            if !columns.is_empty() {
                verdict += &format!("; {what}: {}", columns.join(", "));
            }
        }
        let sample = table.sample.iter().map(|row| ShownDifference {
            key: row.key.to_string(),
            old: row.old.to_string(),
            new: row.new.to_string(),
        });
        let is_equal = table.equal && table.columns_gone.is_empty();
        Self { name: table.table.clone(), old, new, verdict, is_equal, sample: sample.collect() }
    }
}
