//! A file of keys, followed while it changes. Invariant: what was read last and made sense holds; a file that is being written,
//! or is wrong, changes nothing but the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

/// How soon a changed file is taken up.
const PACE: Duration = Duration::from_secs(1);

/// What a file's bytes mean, or what is wrong with them.
type Meaning<T> = fn(&[u8]) -> Result<T, String>;

/// A file of `[auth]` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}", path.display())]
pub struct Unreadable {
    /// As in `auth.secret_file`.
    pub setting: &'static str,
    path: PathBuf,
    what: String,
}

pub(super) struct Followed<T> {
    setting: &'static str,
    path: PathBuf,
    meaning: Meaning<T>,
    held: RwLock<Arc<T>>,
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Reads the file, and from then on whenever its text changes. A few bytes are compared each second: that holds on every
    /// file system, and for secrets that are mounted by links.
    pub(super) fn open(
        setting: &'static str,
        path: &Path,
        meaning: Meaning<T>,
    ) -> Result<Arc<Self>, Unreadable> {
        let unreadable = |what| Unreadable { setting, path: path.to_owned(), what };
        let bytes = std::fs::read(path).map_err(|error| unreadable(cannot(&error)))?;
        let held = RwLock::new(Arc::new(meaning(&bytes).map_err(unreadable)?));
        let followed = Arc::new(Self { setting, path: path.to_owned(), meaning, held });
        tokio::spawn(follow(Arc::downgrade(&followed), bytes));
        Ok(followed)
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, bytes: &[u8]) {
        let (setting, path) = (self.setting, self.path.display());
        match (self.meaning)(bytes) {
            Ok(meant) => {
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(meant);
                tracing::info!("{path} (auth.{setting}) has changed and is taken up");
            }
            Err(what) => tracing::error!(
                "{path} (auth.{setting}) {what}; what it held before goes on to hold"
            ),
        }
    }
}

fn cannot(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

/// Ends with the last holder of `followed`.
async fn follow<T: Send + Sync + 'static>(followed: Weak<Followed<T>>, bytes: Vec<u8>) {
    let mut seen: Result<Vec<u8>, String> = Ok(bytes);
    loop {
        tokio::time::sleep(PACE).await;
        let Some(path) = followed.upgrade().map(|followed| followed.path.clone()) else { return };
        let Ok(read) = tokio::task::spawn_blocking(move || std::fs::read(path)).await else {
            continue;
        };
        let read = read.map_err(|error| cannot(&error));
        let Some(followed) = followed.upgrade().filter(|_| read != seen) else { continue };
        match &read {
            Ok(bytes) => followed.take(bytes),
            Err(why) => tracing::error!(
                "{} (auth.{}) {why}; what it held before goes on to hold",
                followed.path.display(),
                followed.setting
            ),
        }
        seen = read;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_makes_no_sense_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let meaning: Meaning<u32> = |bytes| {
            std::str::from_utf8(bytes).unwrap().parse().map_err(|_| "is no number".to_owned())
        };
        let open = || Followed::open("number_file", &path, meaning);
        let missing = open().err().unwrap();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
        std::fs::write(&path, "x").unwrap();
        assert!(open().err().unwrap().to_string().ends_with("number is no number"));
        std::fs::write(&path, "1").unwrap();
        let followed = open().unwrap();
        followed.take(b"x");
        assert_eq!(*followed.current(), 1);
        followed.take(b"2");
        assert_eq!(*followed.current(), 2);
    }
}
