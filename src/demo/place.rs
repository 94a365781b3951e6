//! The folder that the demo runs from: the reference set, and the settings that lead to the demo while it runs. Invariant:
//! what a person may have written is never overwritten, but for the settings.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::Config;
use crate::definitions;
use crate::failure::Failure;

/// How the settings begin; a folder whose settings do is the demo's.
const MARK: &str = "# Of a running `vitrina demo`, which writes this at each start.\n";
pub(super) const SETTINGS: &str = "vitrina.toml";

pub(super) struct Place {
    folder: PathBuf,
    /// Goes with the demo; none where somebody has named a folder.
    _temporary: Option<TempDir>,
}

impl Place {
    /// Makes it: `into` where that is said, with these models of the reference set and the others beside them. One that the
    /// demo has written before is taken as it is.
    ///
    /// # Errors
    /// It cannot be written, or is somebody else's.
    pub(super) fn prepare(into: Option<&Path>, models: &[String]) -> Result<Self, Failure> {
        let Some(into) = into else {
            let temporary = temporary()?;
            let folder = temporary.path().to_owned();
            definitions::write(&folder, models).map_err(|error| unwritable(&folder, &error))?;
            return Ok(Self { folder, _temporary: Some(temporary) });
        };
        let refuse = |why: String| Failure::Usage(format!("--into {}: {why}", into.display()));
        let folder = std::path::absolute(into).map_err(|error| refuse(error.to_string()))?;
        let is_empty = match fs::read_dir(&folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => {
                return Err(refuse(format!("{error}; name a folder that you may write")));
            }
        };
        let is_ours =
            || fs::read_to_string(folder.join(SETTINGS)).is_ok_and(|text| text.starts_with(MARK));
        if is_empty {
            // Marked before anything else can fail, so that the next start knows it.
            let written = fs::create_dir_all(&folder)
                .and_then(|()| definitions::write(&folder, models))
                .and_then(|()| fs::write(folder.join(SETTINGS), MARK));
            written
                .map_err(|error| refuse(format!("{error}; name a folder that you may write")))?;
        } else if !is_ours() {
            return Err(refuse(
                "it holds what the demo has not written; name a folder that is empty, or not there yet".to_owned(),
            ));
        }
        Ok(Self { folder, _temporary: None })
    }

    pub(super) fn contracts(&self) -> PathBuf {
        self.folder.join("contracts")
    }

    pub(super) fn models(&self) -> PathBuf {
        self.folder.join("models")
    }

    /// Writes the settings that lead to the demo; their text, for who asks from elsewhere.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn tell(&self, config: &Config) -> Result<String, Failure> {
        let settings = settings(config);
        fs::write(self.folder.join(SETTINGS), &settings)
            .map_err(|error| unwritable(&self.folder, &error))?;
        Ok(settings)
    }
}

/// A folder for what goes with the demo.
///
/// # Errors
/// There is no room, or nobody may write there.
pub(super) fn temporary() -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new().prefix("vitrina-demo-").tempdir();
    made.map_err(|error| unwritable(&std::env::temp_dir(), &error))
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!(
        "{} cannot be written: {error}; let TMPDIR name a folder that you may write and that has room for 200 MB",
        folder.display()
    ))
}

fn settings(config: &Config) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let path = |path: &Path| text(&path.display().to_string());
    format!(
        "{MARK}[kafka]\nbrokers = {}\n[registry]\nurl = {}\n[postgres]\nurl = {}\n[definitions]\ncontracts = {}\n\
         models = {}\n[http]\nlisten = {}\nadmin_listen = {}\n",
        text(&config.kafka.brokers),
        text(&config.registry.url),
        text(&config.postgres_url),
        path(&config.contracts),
        path(&config.models),
        text(&config.listen.to_string()),
        text(&config.admin_listen.to_string()),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prepare(folder: &Path) -> Result<Place, String> {
        Place::prepare(Some(folder), &["order_summary".to_owned()]).map_err(|failure| match failure
        {
            Failure::Usage(why) => why,
            Failure::No(why) => panic!("{why}"),
        })
    }

    #[test]
    fn a_folder_is_written_once_and_no_foreign_one_ever() {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("a/b");
        let place = prepare(&folder).unwrap();
        let model = place.models().join("order_summary.sql");
        assert!(place.models().join("tests/order_summary.toml").exists());
        assert!(!place.models().join("order_status.sql").exists());
        assert!(folder.join("more-models/order_status.sql").exists());
        assert!(place.contracts().join("orders/context.toml").exists());
        place.tell(&Config::defaults(folder.clone())).unwrap();
        // What somebody has changed stays changed.
        fs::write(&model, "mine").unwrap();
        prepare(&folder).unwrap();
        assert_eq!(fs::read_to_string(&model).unwrap(), "mine");
        let settings = Config::load(Some(&folder.join(SETTINGS))).unwrap();
        assert_eq!(settings.listen, Config::defaults(PathBuf::new()).listen);
        // Settings of one's own, a file, and whatever else is there.
        fs::write(folder.join(SETTINGS), "[http]\n").unwrap();
        for foreign in [&folder, &folder.join(SETTINGS), above.path()] {
            let why = prepare(foreign).err().unwrap();
            assert!(why.starts_with("--into ") && why.contains("; name a folder"), "{why}");
        }
    }
}
