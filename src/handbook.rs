//! What a package brings for shells and for `man`. Invariant: all of it is made from the command line as it is declared.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell that they are for.
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct Pages {
    /// The folder that they are written to; it must be there.
    folder: PathBuf,
}

pub(crate) fn completions(arguments: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "vitrina", &mut text);
    output::say(String::from_utf8_lossy(&text).trim_end())
}

pub(crate) fn pages(arguments: &Pages, command: Command) -> Result<(), Failure> {
    clap_mangen::generate_to(command, &arguments.folder).map_err(|error| {
        let folder = arguments.folder.display();
        Failure::No(format!("the pages cannot be written to {folder}: {error}"))
    })
}
