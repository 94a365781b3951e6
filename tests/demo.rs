//! The demo from outside: it says where it is reached once it is, and leaves nothing behind, however it is ended.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{PATIENCE, eventually};

/// A demo with a folder for its temporary files, so that what it leaves there can be seen.
struct Demo {
    process: Child,
    temporary: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let temporary = TempDir::new().unwrap();
        // Postgres may run as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(temporary.path(), open).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_vitrina"))
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, temporary }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The line of the first screen that names this.
    fn told(&mut self, word: &str) -> String {
        let mut line = String::new();
        let mut out = BufReader::new(self.process.stdout.as_mut().unwrap());
        while !line.contains(word) {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended");
        }
        line
    }

    /// A verb, asked from this folder by who runs the demo.
    fn ask(&self, folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrina"));
        command.args(arguments).current_dir(folder).env("TMPDIR", self.temporary.path());
        for (name, _) in std::env::vars_os() {
            let name = name.to_str().unwrap_or_default();
            if name.starts_with("VITRINA_") || ["DATABASE_URL", "XDG_RUNTIME_DIR"].contains(&name) {
                command.env_remove(name);
            }
        }
        command.output().unwrap()
    }

    fn left(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.temporary.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Processes whose command names the folder.
    fn processes(&self) -> BTreeSet<String> {
        let folder = self.temporary.path().to_str().unwrap();
        let listed = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
        let lines = String::from_utf8_lossy(&listed).into_owned();
        lines.lines().filter(|line| line.contains(folder)).map(str::to_owned).collect()
    }

    /// Waits for its end, and asserts that nothing is left.
    async fn ends(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let ended = async || self.process.try_wait().unwrap().ok_or("it still runs");
        let status = eventually(PATIENCE, ended).await;
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!((self.left(), self.processes()), (Vec::new(), BTreeSet::new()));
        let mut out = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        (status.code(), out)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_at_any_moment_leave_nothing() {
    for (moment, signals) in
        [("early", ["-INT", "-INT"]), ("postgres", ["-INT", "-TERM"]), ("served", ["-INT", "-INT"])]
    {
        let mut demo = Demo::start(&["--listen", "127.0.0.1:0"]);
        match moment {
            "early" => {
                eventually(PATIENCE, async || match demo.left().len() {
                    0 => Err("no folder"),
                    _ => Ok(()),
                })
                .await
            }
            "postgres" => {
                eventually(PATIENCE, async || match demo.processes().len() {
                    0 => Err("no Postgres"),
                    _ => Ok(()),
                })
                .await
            }
            _ => {
                let line = demo.told("for programs");
                // What it printed is where it listens already, and not at port 0.
                let url = line.split_whitespace().last().unwrap();
                let views = reqwest::get(url).await.unwrap().text().await.unwrap();
                assert!(views.contains("order_summary"), "{views}");
            }
        }
        for signal in signals {
            demo.signal(signal);
        }
        let (status, out) = demo.ends().await;
        assert_eq!(status, Some(0), "{moment}");
        assert!(out.contains("Goodbye"), "{moment}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_one_sentence_and_a_taken_port_is_passed_over() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _taken = TcpListener::bind(taken).unwrap();
    let mut demo = Demo::start(&["--listen", &taken.to_string()]);
    let mut told = String::new();
    demo.process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("--listen") && told.contains(&taken.to_string()), "{told}");
    assert_eq!(demo.ends().await, (Some(2), String::new()));
    // Whether or not it is free, it is not in the way.
    let _eighty = TcpListener::bind("127.0.0.1:8080");
    let demo = Demo::start(&["--events", "50", "--exit"]);
    let (status, out) = demo.ends().await;
    assert_eq!(status, Some(0), "{out}");
    assert!(!out.contains("127.0.0.1:8080/") && out.contains("50 distinct events"), "{out}");
}

/// The first hour: a folder that is written, verbs that find the demo, a model that is edited and saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_written_and_followed_and_verbs_find_the_demo() {
    let above = TempDir::new().unwrap();
    let folder = above.path().join("shop");
    let into = folder.to_str().unwrap();
    let mut demo = Demo::start(&["--listen", "127.0.0.1:0", "--rate", "200", "--into", into]);
    let line = demo.told("for programs");
    let catalogue = line.split_whitespace().last().unwrap().to_owned();
    let listen = catalogue.strip_suffix("/v1/views").unwrap().to_owned();
    let said = |output: &Output| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };

    // From a folder without settings, and from the demo's own.
    let nowhere = TempDir::new().unwrap();
    let (status, out, told) = said(&demo.ask(nowhere.path(), &["status", "--json"]));
    assert_eq!((status, told.lines().count()), (Some(0), 1), "{told}");
    assert!(told.contains(&listen) && out.contains("\"order_summary\""), "{told}{out}");
    let (status, out, told) = said(&demo.ask(nowhere.path(), &["check"]));
    assert!(status == Some(0) && told.lines().count() == 1, "{told}{out}");
    eventually(PATIENCE, async || match said(&demo.ask(&folder, &["parked", "--json"])) {
        (Some(0), out, told) if out.contains("\"poison\"") && told.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    let (status, out, told) = said(&demo.ask(&folder, &["test"]));
    assert_eq!((status, told.as_str()), (Some(0), ""), "{out}");

    // Edited and saved.
    let model = folder.join("models/order_summary.sql");
    let text = std::fs::read_to_string(&model).unwrap();
    let edited = text.replacen("(\n", "(\n  remark text DEFAULT 'new',\n", 1);
    assert_ne!(text, edited);
    std::fs::write(&model, edited).unwrap();
    eventually(PATIENCE, async || {
        let view = format!("{listen}/v1/views/order_summary?limit=1");
        let row = reqwest::get(view).await.unwrap().text().await.unwrap();
        let is_new = row.contains("\"remark\":\"new\"") && row.contains("\"generation\":2");
        if is_new { Ok(()) } else { Err(row) }
    })
    .await;

    // It goes, and the folder stays; a foreign one is left alone.
    demo.signal("-INT");
    let (status, out) = demo.ends().await;
    assert_eq!(status, Some(0));
    assert!(out.contains(&format!("but {into}; `vitrina demo --into {into}`")), "{out}");
    assert!(model.exists() && folder.join("vitrina.toml").exists());
    let mut foreign = Demo::start(&["--into", above.path().to_str().unwrap()]);
    let mut told = String::new();
    foreign.process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.lines().count() == 1 && told.contains("--into"), "{told}");
    assert_eq!(foreign.ends().await, (Some(2), String::new()));
}
