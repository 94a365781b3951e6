//! The one binary: what may be said on the command line, and the file that does it.

mod building;
mod certificate;
mod changes;
mod check;
mod config;
mod definitions;
mod demo;
mod desk;
mod failure;
mod generations;
mod handbook;
mod init;
mod new;
mod output;
mod parked;
mod pause;
mod plan;
mod postgres_words;
mod publish;
mod rebuild;
mod serve;
mod status;
mod telemetry;
mod testing;
mod webhook;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns Avro events on Kafka into Postgres read models, exactly once, and serves them over HTTP.
#[derive(Parser)]
#[command(name = "vitrina", version)]
struct Cli {
    /// The configuration file; else VITRINA_CONFIG, else ./vitrina.toml, else defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the log is written to standard error; else text on a terminal, and JSON elsewhere.
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<telemetry::Format>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs everything embedded: broker, registry, Postgres and a producer of the reference set.
    Demo(demo::Arguments),
    /// Runs the service: consumers and API, or one of the two.
    Serve(serve::Arguments),
    /// Writes a first vitrina.toml, and contracts of chosen topics as the registry has them.
    Init(init::Arguments),
    /// Writes the first files of a context, an event or a model.
    New(new::Arguments),
    /// Checks contracts and models: everything that can be refused before a record arrives.
    Check(check::Arguments),
    /// Plays the tests that stand beside the models: given events, then rows.
    Test(testing::Arguments),
    /// Turns JSON lines into Avro records on Kafka.
    Publish(publish::Arguments),
    /// Says how each model is.
    Status(status::Arguments),
    /// Builds a model anew beside the live generation.
    Rebuild(rebuild::Arguments),
    /// Gives up what is being built.
    Cancel(rebuild::Cancelled),
    /// Lets the generation that was built go live as it is.
    Swap(generations::Model),
    /// Goes back to the generation before, brought up to date.
    Rollback(generations::Model),
    /// Drops a retired generation, or a model whose file is gone.
    Drop(generations::Dropped),
    /// Lists, shows, retries or discards records that were set aside.
    Parked(parked::Arguments),
    /// Pauses a model on every instance.
    Pause(pause::Arguments),
    /// Lets a model go on that pauses, has stopped, or whose breaker is open.
    Resume(pause::Arguments),
    /// Prints what a shell needs to complete verbs and options.
    Completions(handbook::Completions),
    /// Writes the pages that `man` shows to a folder.
    Man(handbook::Pages),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    let done = runtime.block_on(run(cli));
    // A consumer that could not leave its group in time must not hold the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let format = cli.log_format;
    let config = || {
        config::Config::load(cli.config.as_deref())
            .map_err(|found| Failure::Usage(found.join("\n")))
    };
    // What asks and decides finds a demo by itself; what serves does not join one.
    let found = || match cli.config {
        None if config::Config::is_unsaid() => of_demo().map_or_else(config, Ok),
        _ => config(),
    };
    match cli.verb {
        Verb::Demo(arguments) => demo::run(arguments, format).await,
        Verb::Serve(arguments) => serve::run(arguments, config()?, format).await,
        Verb::Init(arguments) => init::run(arguments, config()?).await,
        Verb::New(arguments) => new::run(arguments, config()?).await,
        Verb::Check(arguments) => check::run(arguments, found()?).await,
        Verb::Test(arguments) => testing::run(arguments, found()?).await,
        Verb::Publish(arguments) => publish::run(arguments, found()?).await,
        Verb::Status(arguments) => status::run(arguments, found()?).await,
        Verb::Parked(arguments) => parked::run(arguments, found()?).await,
        Verb::Pause(arguments) => pause::pause(arguments, found()?).await,
        Verb::Resume(arguments) => pause::resume(arguments, found()?).await,
        Verb::Rebuild(arguments) => rebuild::rebuild(arguments, found()?).await,
        Verb::Cancel(arguments) => rebuild::cancel(arguments, found()?).await,
        Verb::Swap(arguments) => generations::swap(arguments, found()?).await,
        Verb::Rollback(arguments) => generations::rollback(arguments, found()?).await,
        Verb::Drop(arguments) => generations::drop(arguments, found()?).await,
        Verb::Completions(arguments) => handbook::completions(&arguments, Cli::command()),
        Verb::Man(arguments) => handbook::pages(&arguments, Cli::command()),
    }
}

/// The settings of a running demo, if there is one, which is said.
fn of_demo() -> Option<config::Config> {
    let running = demo::running()?;
    let config = config::Config::load(Some(&running.file)).ok()?;
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "There is no vitrina.toml here: this is about the demo at http://{}.",
        running.listen
    );
    Some(config)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
