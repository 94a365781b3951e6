//! Definitions from the folders of the configuration, or from the binary itself for the demo.

use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};
use vitrina_projectors::{Definitions, Roots};
use vitrina_sql::Files;

use crate::Failure;
use crate::config::Config;

static CONTRACTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/avro/contracts");
static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/projectors/models");

/// Reads the folders of the configuration; paths are shown as the working folder sees them.
///
/// # Errors
/// A folder that is not there, with the setting that names it.
pub(crate) fn from_folders(config: &Config) -> Result<Definitions, Failure> {
    let roots = Roots { contracts: shown(&config.contracts), models: shown(&config.models) };
    let mut files = Files::default();
    for (folder, root, setting, extensions) in [
        (&config.contracts, &roots.contracts, "definitions.contracts", &[".toml", ".avsc", ".sql"][..]),
        (&config.models, &roots.models, "definitions.models", &[".sql"][..]),
    ] {
        let read = Files::read(folder, root, extensions);
        files.0.extend(read.map_err(|error| Failure::Usage(format!("{error} (the folder is {setting})")))?.0);
    }
    Ok(Definitions::load(&files, &roots))
}

/// The reference set that is part of the binary.
pub(crate) fn embedded() -> Definitions {
    let roots = Roots { contracts: "avro/contracts".into(), models: "projectors/models".into() };
    let mut files = Files::default();
    collect(&CONTRACTS, &roots.contracts, &mut files);
    collect(&MODELS, &roots.models, &mut files);
    Definitions::load(&files, &roots)
}

fn collect(folder: &Dir<'_>, root: &str, files: &mut Files) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(inner) => collect(inner, root, files),
            DirEntry::File(file) => {
                let path = format!("{root}/{}", file.path().display());
                files.0.extend(file.contents_utf8().map(|text| (path, text.to_owned())));
            }
        }
    }
}

fn shown(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = folder.strip_prefix(&here).unwrap_or(folder);
    folder.display().to_string().trim_start_matches("./").to_owned()
}
