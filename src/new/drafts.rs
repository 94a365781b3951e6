//! Files that are about to be written, by their paths as the working folder sees them. None is written where one of them
//! is there already, and nothing is written over.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use vitrina_sql::Finding;

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;

#[derive(Debug, Default)]
pub(crate) struct Drafts(BTreeMap<String, String>);

impl Drafts {
    pub(crate) fn add(&mut self, path: String, text: String) {
        self.0.insert(path, text);
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// What `check` will refuse once they are there.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub(crate) fn foresee(&self, config: &Config) -> Result<Vec<Finding>, Failure> {
        let found = definitions::foreseen(config, &self.0)?;
        Ok(found.into_iter().filter(Finding::is_error).collect())
    }

    /// Whether `check` will take all of them.
    ///
    /// # Errors
    /// What it would refuse.
    pub(crate) fn accept(&self, config: &Config) -> Result<(), Failure> {
        let found = self.foresee(config)?;
        let own: Vec<String> =
            found.iter().filter(|one| self.has(&one.file)).map(ToString::to_string).collect();
        if own.is_empty() { Ok(()) } else { Err(Failure::Usage(own.join("\n"))) }
    }

    /// Writes them; which ones, for people.
    ///
    /// # Errors
    /// One is there already, or cannot be written.
    pub(crate) fn write(&self) -> Result<String, Failure> {
        if let Some(there) = self.0.keys().find(|path| Path::new(path).symlink_metadata().is_ok()) {
            return Err(Failure::No(format!(
                "{there} is there already, and nothing was written; choose another name, or move it away"
            )));
        }
        let mut said = Vec::new();
        for (path, text) in &self.0 {
            write(Path::new(path), text)
                .map_err(|error| Failure::No(format!("{path}: {error}")))?;
            said.push(format!("wrote {path}"));
        }
        Ok(said.join("\n"))
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}
