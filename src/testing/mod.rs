//! `vitrina test`: given events, then rows. The tests stand beside the models, and the engine underneath is the engine:
//! records are decoded, applied and parked as a worker does it, and what is expected is asked of the API's own routes. No
//! broker and no registry is needed, and no Postgres but its binaries.

mod difference;
mod file;
mod json;
mod judge;
mod mark;
mod orders;
mod reading;
mod report;
mod scratch;
mod smallest;
mod stage;
mod update;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_projectors::rehearsal::Schemas;

use self::file::TestFile;
use self::judge::{FileVerdict, judge};
use self::report::Report;
use self::scratch::Scratch;
use self::stage::{Play, Stage};
use crate::config::Config;
use crate::definitions;
use crate::demo::end_on_signals;
use crate::failure::Failure;
use crate::output::{say, say_json};

/// Files are played on so many scratch databases at a time.
const STAGES: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files of tests, or folders of them; else tests/*.toml in the models' folder, and beside vitrina.toml.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Writes JUnit's XML there, for a pipeline.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes what came out into the files, in place of what was expected.
    #[arg(long)]
    update: bool,
    /// Which orders are tried of those that are drawn by chance.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments, config: Config) -> Result<(), Failure> {
    let began = Instant::now();
    let definitions = definitions::from_folders(&config)?;
    let schemas = Arc::new(Schemas::new(&definitions.contracts));
    let paths = paths(&arguments.files, &config)?;
    let (seed, update) = (arguments.seed, arguments.update);
    let play = Arc::new(Play { config, definitions, schemas, seed, update });
    let files = read(&paths, &play)?;
    let ended = end_on_signals(CancellationToken::new())?;
    let mut scratch = Scratch::open(&play.config).await?;
    let place = scratch.place();
    let played = tokio::select! {
        played = play_all(&mut scratch, &play, files) => played,
        () = ended.cancelled() => Err(Failure::No("ended before all tests were played".into())),
    };
    scratch.clear().await;
    let verdicts = played?;
    write_updates(&verdicts)?;
    let report = Report::new(&verdicts, seed);
    if let Some(path) = &arguments.junit {
        fs::write(path, report::junit(&verdicts))
            .map_err(|error| Failure::Usage(format!("--junit {}: {error}", path.display())))?;
    }
    match arguments.json {
        true => say_json(&report)?,
        false => say(&report::lines(&verdicts, &report, (began.elapsed(), &place)))?,
    }
    match report.has_failed() {
        true => Err(Failure::No(String::new())),
        false => Ok(()),
    }
}

/// The files to play, each with how it is told.
fn paths(named: &[PathBuf], config: &Config) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut paths = Vec::new();
    for path in named {
        match path.is_dir() {
            true => paths.extend(in_folder(path)?),
            false => paths.push(path.clone()),
        }
    }
    if named.is_empty() {
        let folders = folders(config);
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            paths.extend(in_folder(folder)?);
        }
        if paths.is_empty() {
            let folders: Vec<String> =
                folders.iter().map(|folder| definitions::shown(folder)).collect();
            return Err(Failure::Usage(format!(
                "there is no test: write {}/MODEL.toml (docs/test-a-model.md says how), or name files",
                folders.first().map_or("tests", String::as_str)
            )));
        }
    }
    let mut paths: Vec<(String, PathBuf)> =
        paths.into_iter().map(|path| (definitions::shown(&path), path)).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Where tests are looked for.
fn folders(config: &Config) -> [PathBuf; 2] {
    let beside = config.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    [config.models.join("tests"), beside.join("tests")]
}

/// The TOML files of a folder that hold tests; others may be there for other reasons.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if is_toml && fs::read_to_string(&path).map_or(true, |text| text.contains("[[test]]")) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Reads all files; what is wrong with any of them is said at once, and then none is played.
fn read(paths: &[(String, PathBuf)], play: &Play) -> Result<Vec<TestFile>, Failure> {
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    for (name, path) in paths {
        match fs::read_to_string(path) {
            Err(error) => wrong.push(format!("{name}: {error}; name a file of tests")),
            Ok(text) => match reading::read((name, path), text, &play.definitions, &play.schemas) {
                Ok(file) => files.push(file),
                Err(found) => wrong.extend(found.iter().map(mark::Wrong::told)),
            },
        }
    }
    match wrong.is_empty() {
        true => Ok(files),
        false => Err(Failure::Usage(wrong.join("\n"))),
    }
}

/// Plays the files on several stages at a time; the verdicts in the files' order.
async fn play_all(
    scratch: &mut Scratch,
    play: &Arc<Play>,
    files: Vec<TestFile>,
) -> Result<Vec<FileVerdict>, Failure> {
    let stages = std::thread::available_parallelism().map_or(1, usize::from);
    let stages = stages.min(files.len()).clamp(1, STAGES);
    let files: VecDeque<(usize, TestFile)> = files.into_iter().enumerate().collect();
    let files = Arc::new(Mutex::new(files));
    let mut playing = JoinSet::new();
    for _ in 0..stages {
        let mut stage = Stage::new(play.clone(), scratch.database().await?);
        let files = files.clone();
        playing.spawn(async move {
            let mut judged = Vec::new();
            loop {
                let next = files.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((place, file)) = next else { break };
                judged.push((place, judge(&mut stage, file).await));
            }
            stage.strike().await;
            judged
        });
    }
    let mut verdicts = Vec::new();
    while let Some(judged) = playing.join_next().await {
        verdicts.extend(judged?);
    }
    verdicts.sort_by_key(|(place, _)| *place);
    Ok(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
}

fn write_updates(verdicts: &[FileVerdict]) -> Result<(), Failure> {
    for FileVerdict { file, verdicts, .. } in verdicts {
        let edits: Vec<_> = verdicts.iter().flat_map(|verdict| &verdict.edits).collect();
        if !edits.is_empty() {
            fs::write(&file.path, update::apply(&file.text, edits))
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.name)))?;
        }
    }
    Ok(())
}
