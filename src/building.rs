//! `vitrina rebuild --wait`: how far it is, as a bar on a terminal and as lines elsewhere, until it is decided. Exit status
//! 0 where it is live, or waits for an operator as the settings want it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use vitrina_projectors::{Desk, GenerationStatus, Progress, Swap, TableComparison};

use crate::config::Config;
use crate::failure::Failure;
use crate::output::say;

const PACE: Duration = Duration::from_millis(500);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);
/// How long nobody may say anything of it.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it may be compared, or stopped, and not live for one and the same reason.
const LOOKS: u32 = 16;
const WIDTH: usize = 30;

pub(crate) async fn wait(
    desk: &Desk,
    config: &Config,
    model: &str,
    number: i32,
) -> Result<(), Failure> {
    let mut shown = Shown::new();
    let (mut looks, mut reason, mut heard) = (0, None, Instant::now());
    loop {
        let mut connection = desk.pool.acquire().await?;
        let found = GenerationStatus::of(&mut connection, model, number).await?;
        std::mem::drop(connection);
        let Some(found) = found else {
            return Err(Failure::No(format!("{model}@{number} is gone, and {model} with it")));
        };
        match found.state.as_str() {
            "queued" | "building" => {}
            "live" => {
                shown.end()?;
                found.comparison.iter().flatten().try_for_each(|table| say(&table_line(table)))?;
                return say(&format!("{model}@{number} is live"));
            }
            ended => {
                shown.end()?;
                return Err(Failure::No(format!("{model}@{number} is {ended}, and not live")));
            }
        }
        if let Some(progress) = found.progress.as_ref().filter(|progress| progress.total > 0) {
            heard = Instant::now();
            shown.progress(progress)?;
        } else if heard.elapsed() > SILENCE {
            heard = Instant::now();
            say("nobody builds it yet: an instance must run (`vitrina serve`)")?;
        }
        let same = (found.comparison.is_some() || found.stopped) && found.reason == reason;
        looks = if same { looks + 1 } else { 0 };
        reason.clone_from(&found.reason);
        if looks > LOOKS {
            shown.end()?;
            found.comparison.iter().flatten().try_for_each(|table| say(&table_line(table)))?;
            let why = reason.unwrap_or_default();
            let by_hand = config.model(model).is_some_and(|model| model.swap == Swap::ByHand);
            let why = format!("{model}@{number} is not live: {why}");
            return if by_hand { say(&why) } else { Err(Failure::No(why)) };
        }
        tokio::time::sleep(PACE).await;
    }
}

/// How progress is shown.
struct Shown {
    terminal: bool,
    last: Option<Instant>,
}

impl Shown {
    fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last: None }
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), Failure> {
        if self.terminal {
            self.last = Some(Instant::now());
            let mut out = std::io::stdout().lock();
            write!(out, "\r{} {progress}\x1b[K", bar(progress))?;
            out.flush()?;
        } else if self.last.is_none_or(|last| last.elapsed() > LINE) {
            self.last = Some(Instant::now());
            say(&progress.to_string())?;
        }
        Ok(())
    }

    /// What follows stands on a line of its own.
    fn end(&self) -> Result<(), Failure> {
        if self.terminal && self.last.is_some() { say("") } else { Ok(()) }
    }
}

fn bar(progress: &Progress) -> String {
    let filled = (progress.done as f64 / progress.total.max(1) as f64 * WIDTH as f64) as usize;
    format!("[{}{}]", "#".repeat(filled.min(WIDTH)), "-".repeat(WIDTH - filled.min(WIDTH)))
}

/// How a table compares, for people.
pub(crate) fn table_line(table: &TableComparison) -> String {
    let rows =
        |rows: Option<i64>| rows.map_or_else(|| "no table".to_owned(), |rows| rows.to_string());
    let [old, new] = table.rows.map(rows);
    let mut line = match table.rows {
        [None, None] => table.table.clone(),
        _ => format!("{}: rows {old} -> {new}", table.table),
    };
    match &table.failed {
        Some(why) => line += &format!("; not compared: {why}"),
        None if table.equal => line += ", equal",
        None if table.differing > 0 => line += &format!(", {} differ", table.differing),
        None => {}
    }
    for (what, columns) in [("new", &table.columns_added), ("gone", &table.columns_gone)] {
        if !columns.is_empty() {
            line += &format!("; {what} columns: {}", columns.join(", "));
        }
    }
    for difference in &table.sample {
        line += &format!("\n  {}: {} -> {}", difference.key, difference.old, difference.new);
    }
    line
}
