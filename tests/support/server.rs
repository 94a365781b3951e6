//! A Postgres of a test's own, to be stopped, killed and started again; the run's own one is never touched.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::folder::free_address;
use super::{PATIENCE, eventually};

pub struct Server {
    data: TempDir,
    port: u16,
    options: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// One with these files in its folder, which nobody else may read, and these settings.
    pub async fn start_with(files: &[(&str, &str)], settings: &[&str]) -> Self {
        let (data, port) = (TempDir::new().unwrap(), free_address().port());
        let options = settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]);
        let mut server = Self { port, data, options: options.collect(), process: None };
        if is_root() {
            assert!(
                Command::new("chown")
                    .arg("postgres")
                    .arg(server.data.path())
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let folder = server.folder();
        let made = server
            .tool("initdb")
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "-D", &folder])
            .output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for (name, text) in files {
            server.keep(name, text);
        }
        server.begin().await;
        server
    }

    fn keep(&self, name: &str, text: &str) {
        let mut command = self.tool("/bin/sh");
        let file = self.data.path().join(name);
        command.args(["-c", "umask 077; rm -f \"$0\"; cat >\"$0\""]).arg(file);
        let mut written = command.stdin(Stdio::piped()).spawn().unwrap();
        written.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(written.wait().unwrap().success());
    }

    /// A superuser's connection.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address())
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again, where it was.
    pub async fn begin(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder());
        // What a killed one has left behind may be in the way for a moment.
        eventually(PATIENCE, async || {
            let mut command = self.tool("postgres");
            command.args([
                "-D",
                &folder,
                "-k",
                &folder,
                "-p",
                &port,
                "-c",
                "listen_addresses=127.0.0.1",
            ]);
            command.args(&self.options);
            self.process = Some(command.spawn().unwrap());
            self.until_ready().await
        })
        .await;
    }

    async fn until_ready(&mut self) -> Result<(), String> {
        let port = self.port.to_string();
        eventually(PATIENCE, async || {
            if let Ok(Some(ended)) = self.process.as_mut().unwrap().try_wait() {
                return Ok(Err(format!("Postgres ended: {ended}")));
            }
            let mut probe = self.tool("pg_isready");
            let ready = probe.args(["-h", "127.0.0.1", "-p", &port]).status().unwrap().success();
            if ready { Ok(Ok(())) } else { Err("Postgres does not answer") }
        })
        .await
    }

    /// Ends it; `mode` is one of `pg_ctl`'s.
    pub fn stop(&mut self, mode: &str) {
        let folder = self.folder();
        let stopped =
            self.tool("pg_ctl").args(["-D", &folder, "-m", mode, "stop"]).status().unwrap();
        assert!(stopped.success());
        self.wait();
    }

    /// As a machine does that loses its power.
    pub fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.data.path().join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
    }

    fn folder(&self) -> String {
        self.data.path().to_str().unwrap().to_owned()
    }

    /// Postgres refuses to run as root; the Debian package brings the user that it may run as.
    fn tool(&self, name: &str) -> Command {
        let tool = programs().join(name);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(tool);
                command
            }
            false => Command::new(tool),
        };
        command
            .current_dir(self.data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            let folder = self.folder();
            let _ = self.tool("pg_ctl").args(["-D", &folder, "-m", "immediate", "stop"]).status();
            self.wait();
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Where Debian keeps the newest version's programs; elsewhere they are in the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version =
        versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    version.map_or_else(PathBuf::new, |version| {
        Path::new("/usr/lib/postgresql").join(format!("{version}/bin"))
    })
}
