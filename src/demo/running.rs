//! Where a demo says that it runs, so that verbs find it by themselves. Invariant: a verb follows only what a process of its
//! own user has written, and only while somebody answers there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::postgres::user;

const BEGIN: &str = "vitrina-demo-";
const END: &str = ".toml";
/// How long an address of this machine may take to answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// The settings of a running demo, in a file that goes with it.
pub(super) struct Notice(PathBuf);

impl Notice {
    pub(super) fn put(settings: &str) -> io::Result<Self> {
        Self::put_in(&folder(), settings)
    }

    fn put_in(folder: &Path, settings: &str) -> io::Result<Self> {
        let file = folder.join(format!("{BEGIN}{}{END}", std::process::id()));
        // Of one that bore this number before, and was killed.
        let _ = fs::remove_file(&file);
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)?
            .write_all(settings.as_bytes())?;
        Ok(Self(file))
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A demo that runs.
#[derive(Debug, PartialEq)]
pub(crate) struct Running {
    /// Its settings.
    pub(crate) file: PathBuf,
    pub(crate) listen: SocketAddr,
}

/// The one that was started last.
pub(crate) fn running() -> Option<Running> {
    running_in(&folder())
}

fn running_in(folder: &Path) -> Option<Running> {
    let user = user().ok()?;
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut notices: Vec<(SystemTime, PathBuf)> = entries
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(BEGIN) && name.ends_with(END))
        })
        .filter_map(|entry| {
            // Of the file itself: a link may lead to what another user has written.
            let about = fs::symlink_metadata(entry.path()).ok()?;
            let is_own = about.is_file() && about.uid() == user;
            is_own.then_some((about.modified().ok()?, entry.path()))
        })
        .collect();
    notices.sort();
    notices.into_iter().rev().find_map(|(_, file)| alive(file))
}

/// It, if its listener and its Postgres answer: one that was killed has left its notice behind.
fn alive(file: PathBuf) -> Option<Running> {
    let settings: toml::Table = fs::read_to_string(&file).ok()?.parse().ok()?;
    let text = |section: &str, key: &str| settings.get(section)?.get(key)?.as_str();
    let listen: SocketAddr = text("http", "listen")?.parse().ok()?;
    let postgres = text("postgres", "url")?.split('@').next_back()?.split('/').next()?;
    let answers = |address: &SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
    (answers(&listen) && answers(&postgres.parse().ok()?)).then_some(Running { file, listen })
}

/// The user's own, where the system has one.
fn folder() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|own| own.is_dir());
    own.unwrap_or_else(std::env::temp_dir)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    fn settings(listen: SocketAddr, postgres: SocketAddr) -> String {
        format!(
            "[postgres]\nurl = \"postgres://vitrina@{postgres}/vitrina\"\n[http]\nlisten = \"{listen}\"\n"
        )
    }

    #[test]
    fn only_a_demo_that_answers_is_running() {
        let folder = tempfile::tempdir().unwrap();
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (listener, postgres, gone) = (bind(), bind(), bind().local_addr().unwrap());
        let (listen, postgres_at) =
            (listener.local_addr().unwrap(), postgres.local_addr().unwrap());
        assert_eq!(running_in(folder.path()), None);
        let notice = Notice::put_in(folder.path(), &settings(listen, postgres_at)).unwrap();
        let found = running_in(folder.path()).unwrap();
        assert_eq!(found, Running { file: notice.0.clone(), listen });
        // Newer ones of which no one answers, which make no sense, and which are links.
        let put = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        put("vitrina-demo-1.toml", settings(gone, postgres_at));
        put("vitrina-demo-2.toml", settings(listen, gone));
        put("vitrina-demo-3.toml", "[http".to_owned());
        put("elsewhere", settings(listen, postgres_at));
        let link = folder.path().join("vitrina-demo-4.toml");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
        assert_eq!(running_in(folder.path()).as_ref(), Some(&found));
        drop(notice);
        assert_eq!(running_in(folder.path()), None);
    }
}
