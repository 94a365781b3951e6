//! The texts of a definition by path, wherever they come from: a folder, the binary, or a generation's row in
//! Postgres. Everything that reads definitions reads them from here, so all three mean the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// Path (with `/`, as shown to the user) to text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    /// Reads every file below `folder` whose name ends in one of `extensions`; the paths begin with `shown`.
    ///
    /// # Errors
    /// The first folder or file that cannot be read, or that is not UTF-8, by its path.
    pub fn read(folder: &Path, shown: &str, extensions: &[&str]) -> io::Result<Self> {
        let mut files = Self::default();
        files.read_into(folder, shown, extensions)?;
        Ok(files)
    }

    fn read_into(&mut self, folder: &Path, shown: &str, extensions: &[&str]) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let shown = format!("{}/{name}", shown.trim_end_matches('/'));
            if path.is_dir() {
                self.read_into(&path, &shown, extensions)?;
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                let text = fs::read_to_string(&path)
                    .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
                self.0.insert(shown, text);
            }
        }
        Ok(())
    }
}
