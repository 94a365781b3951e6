//! A private Postgres from the machine's own binaries, in a temporary folder that goes with it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::place::temporary;
use crate::failure::Failure;

/// How long the server may take to stop, and again to end.
const STOP: Duration = Duration::from_secs(3);

pub(crate) struct Postgres {
    pub(crate) url: String,
    binaries: PathBuf,
    owner: Option<(u32, u32)>,
    folder: TempDir,
    server: Child,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port of the loopback interface.
    ///
    /// # Errors
    /// What a person can do something about, in one sentence.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let binaries = find_binaries()?;
        let folder = temporary()?;
        let owner = owner()?;
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let initdb = command(&binaries, "initdb", owner)
            .args(["-A", "trust", "-U", "vitrina", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .await
            .context("initdb")?;
        if !initdb.status.success() {
            return Err(unmade(&String::from_utf8_lossy(&initdb.stderr)));
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = fs::File::create(folder.path().join("log"))?;
        let server = command(&binaries, "postgres", owner)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
                "-p",
                &port.to_string(),
                "-D",
            ])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("postgres")?;
        let url = format!("postgres://vitrina@127.0.0.1:{port}/vitrina");
        let mut postgres = Self { url, binaries, owner, folder, server };
        match postgres.create_database(port).await {
            Ok(()) => Ok(postgres),
            Err(error) => {
                postgres.stop().await;
                Err(unmade(&format!("{error:#}")))
            }
        }
    }

    /// Waits until the server answers, and creates the database.
    async fn create_database(&mut self, port: u16) -> anyhow::Result<()> {
        let template = format!("postgres://vitrina@127.0.0.1:{port}/template1");
        for _ in 0..100 {
            if let Some(status) = self.server.try_wait()? {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("the embedded Postgres ended ({status}): {}", log.trim());
            }
            if let Ok(pool) = sqlx::PgPool::connect(&template).await {
                sqlx::query("CREATE DATABASE vitrina").execute(&pool).await?;
                pool.close().await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the embedded Postgres did not answer within 10 s")
    }

    /// Stops the server and takes its folder away.
    pub(crate) async fn stop(mut self) {
        let data = self.folder.path().join("data");
        let stop = command(&self.binaries, "pg_ctl", self.owner)
            .args(["stop", "-m", "immediate", "-D"])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // It waits for the server's processes, unless somebody has taken their folder away.
        let _ = tokio::time::timeout(STOP, stop).await;
        if tokio::time::timeout(STOP, self.server.wait()).await.is_err() {
            let _ = self.server.kill().await;
        }
        if let Err(error) = self.folder.close() {
            tracing::warn!(%error, "the embedded Postgres's folder could not be taken away");
        }
    }
}

/// A command in a process group of its own, so that Ctrl-C reaches only this process, and as `owner`.
fn command(binaries: &Path, name: &str, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(binaries.join(name));
    command.process_group(0).kill_on_drop(true).current_dir("/").stdin(Stdio::null());
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    command
}

/// The newest of the places where distributions put the server's binaries.
fn find_binaries() -> Result<PathBuf, Failure> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).chain(["/usr/local/pgsql/bin".into()]);
    let mut folders = found.into_iter().rev().map(|(_, folder)| folder).chain(others);
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists()).ok_or_else(|| {
        let why = "no Postgres server was found on this machine: install Debian's package postgresql, or run `make demo`";
        Failure::Usage(why.to_owned())
    })
}

/// Why there is no Postgres: the words that say what is wrong, of many lines.
fn unmade(said: &str) -> Failure {
    let after = |line: &str| {
        ["error:", "FATAL:", "PANIC:"]
            .iter()
            .find_map(|word| Some(line.split_once(word)?.1.to_owned()))
    };
    let what = said.lines().find_map(after).unwrap_or_else(|| said.to_owned());
    Failure::Usage(format!(
        "the embedded Postgres could not be made in {}: {}; let TMPDIR name a folder that you may write and that has room for 200 MB",
        std::env::temp_dir().display(),
        what.trim()
    ))
}

/// Whose process this is.
pub(super) fn user() -> std::io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// Postgres refuses to run as root: the user that its package made, else nobody.
fn owner() -> anyhow::Result<Option<(u32, u32)>> {
    if user()? != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).map(Some).context("no user to run Postgres as")
}
