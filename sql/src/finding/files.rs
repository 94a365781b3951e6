//! The texts of a definition by path, wherever they come from: a folder, the binary, or a generation's row in
//! Postgres. Everything that reads definitions reads them from here, so all three mean the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::Finding;
use crate::finding::place::Place;

/// Path (with `/`, as shown to the user) to text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    /// Reads every file below `folder` whose name ends in one of `extensions`; the paths begin with `shown`. What is hidden
    /// is an editor's or the system's, and left alone.
    ///
    /// # Errors
    /// The first folder or file that cannot be read, or that is not UTF-8, by its path.
    pub fn read(folder: &Path, shown: &str, extensions: &[&str]) -> io::Result<Self> {
        let mut files = Self::default();
        match files.add(folder, shown, extensions)?.first() {
            Some(finding) => Err(io::Error::new(io::ErrorKind::InvalidData, finding.to_string())),
            None => Ok(files),
        }
    }

    /// Adds what [`Self::read`] would read. A file that cannot be read is a finding and stands as an empty text, which
    /// no definition accepts: nothing runs as if that file were not there.
    ///
    /// # Errors
    /// The first folder that cannot be read, by its path.
    pub fn add(
        &mut self,
        folder: &Path,
        shown: &str,
        extensions: &[&str],
    ) -> io::Result<Vec<Finding>> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        };
        let mut findings = Vec::new();
        for entry in fs::read_dir(folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.starts_with('.') {
                continue;
            }
            let shown = format!("{}/{name}", shown.trim_end_matches('/'));
            if path.is_dir() {
                findings.extend(self.add(&path, &shown, extensions)?);
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                let text = text(&path, &shown).unwrap_or_else(|finding| {
                    findings.push(finding);
                    String::new()
                });
                self.0.insert(shown, text);
            }
        }
        Ok(findings)
    }
}

/// The file's text without the mark of its encoding, its lines ended by `\n` wherever it was saved: to Postgres a lone
/// carriage return ends a comment, to the parser it does not. A finding under the path `shown` where there is none.
fn text(path: &Path, shown: &str) -> Result<String, Finding> {
    let bytes = fs::read(path).map_err(|error| {
        Finding::error(
            shown,
            Place::START,
            format!("the file cannot be read: {error}"),
            "let the user that runs Vitrina read it",
        )
    })?;
    if [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
        return Err(Finding::error(shown, Place::START, "the file is UTF-16", "save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let at = Place::of(&String::from_utf8_lossy(before), before.len());
        Finding::error(shown, at, "the file is not UTF-8 from here on", "save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if let Some(nul) = text.find('\0') {
        let help = "save it as UTF-8; files in UTF-16 look so";
        return Err(Finding::error(shown, Place::of(text, nul), "here is a NUL character", help));
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_is_no_text_hides_no_other() {
        let folder = std::env::temp_dir().join(format!("vitrina-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.sql"), b"SELECT 1;\n'\xff'").unwrap();
        fs::write(folder.join("b.sql"), "\u{feff}SELECT 2;").unwrap();
        fs::write(folder.join(".#b.sql"), "SELECT 3;").unwrap();
        let mut files = Files::default();
        let findings = files.add(&folder, "models", &[".sql"]).unwrap();
        let refused = Files::read(&folder, "models", &[".sql"]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            (findings.len(), findings[0].file.as_str(), findings[0].line),
            (1, "models/a.sql", 2)
        );
        assert_eq!(files.0["models/a.sql"], "");
        assert_eq!(files.0["models/b.sql"], "SELECT 2;");
        assert!(refused.is_err());
        assert_eq!(files.0.len(), 2, "{files:?}");
    }

    #[test]
    fn a_file_reads_the_same_wherever_it_was_saved() {
        let folder = std::env::temp_dir().join(format!("vitrina-saved-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let save = |bytes: &[u8]| {
            let path = folder.join("a.sql");
            fs::write(&path, bytes).unwrap();
            text(&path, "a.sql").map_err(|finding| finding.to_string())
        };
        let read = ["\u{feff}SELECT -- é\r\n1;\r\n", "SELECT -- é\r1;\r", "SELECT -- é\n1;\n"]
            .map(|text| save(text.as_bytes()).unwrap());
        assert_eq!(read, ["SELECT -- é\n1;\n"; 3]);
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let refused =
            [save(&wide("\u{feff}SELECT 1;")), save(&wide("ab")), save(b"\n\xc3\xa9\xff")];
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            refused.map(Result::unwrap_err),
            [
                "a.sql:1:1: the file is UTF-16: save it as UTF-8",
                "a.sql:1:2: here is a NUL character: save it as UTF-8; files in UTF-16 look so",
                "a.sql:2:2: the file is not UTF-8 from here on: save it as UTF-8",
            ]
        );
    }
}
