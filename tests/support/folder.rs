//! A user's folder: `vitrina.toml` and definitions, which the real binary runs in. It shares nothing with other
//! tests: ports, group prefix and database are its own.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{Database, Stack, Vitrina, unique};

pub struct Folder {
    folder: TempDir,
    /// Where `serve` listens.
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub group_prefix: String,
}

/// A verb that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; none where a signal ended it.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// What a verb with `--json` printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Folder {
    /// A folder whose `vitrina.toml` names the services of this run and no definitions yet.
    pub fn new(database: &Database) -> Self {
        let Stack { kafka, registry, .. } = Stack::get();
        Self::at(kafka, registry, &database.url)
    }

    /// The same, with the services where the test has put them.
    pub fn at(kafka: &str, registry: &str, postgres: &str) -> Self {
        let (listen, admin_listen) = (free_address(), free_address());
        let folder = Self {
            folder: TempDir::new().unwrap(),
            listen,
            admin_listen,
            group_prefix: unique("group"),
        };
        let group_prefix = &folder.group_prefix;
        let settings = format!(
            "[kafka]\nbrokers = \"{kafka}\"\ngroup_prefix = \"{group_prefix}\"\n[registry]\nurl = \"{registry}\"\n\
             [postgres]\nurl = \"{postgres}\"\n[http]\nlisten = \"{listen}\"\nadmin_listen = \"{admin_listen}\"\n\
             [definitions]\ncontracts = \"contracts\"\nmodels = \"models\"\n"
        );
        for empty in ["contracts", "models"] {
            fs::create_dir(folder.path().join(empty)).unwrap();
        }
        folder.write("vitrina.toml", &settings)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes one file, such as `models/flights.sql` or `contracts/flights/context.toml`.
    pub fn write(self, path: &str, text: &str) -> Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// What `vitrina.toml` says.
    pub fn settings(&self) -> String {
        fs::read_to_string(self.path().join("vitrina.toml")).unwrap()
    }

    /// Adds tables to `vitrina.toml`.
    pub fn configure(self, toml: &str) -> Self {
        let settings = self.settings();
        self.write("vitrina.toml", &format!("{settings}{toml}\n"))
    }

    /// Copies files and folders of the repository, such as `avro/contracts/users`.
    pub fn copy(self, from: &str, to: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
        if source.is_file() {
            return self.write(to, &fs::read_to_string(source).unwrap());
        }
        fs::read_dir(source).unwrap().fold(self, |folder, entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            folder.copy(&format!("{from}/{name}"), &format!("{to}/{name}"))
        })
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, "")
    }

    /// The same, with something to read on standard input.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Finished {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_owned();
        // Beside the reading of its output, for either pipe may be full; a verb need not read its input to the end.
        let writing = std::thread::spawn(move || drop(pipe.write_all(stdin.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Starts `vitrina serve`; more instances of one folder need other addresses in `arguments`.
    pub fn serve(&self) -> Vitrina {
        Vitrina::start(self.command(&["serve"]), self.listen, self.admin_listen)
    }

    /// The binary, with this folder as working folder and no setting from the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrina"));
        command.current_dir(self.path()).args(arguments);
        // Nor any demo that runs on this machine.
        command.env("XDG_RUNTIME_DIR", self.path());
        for (name, _) in std::env::vars_os() {
            if name == "DATABASE_URL" || name.to_string_lossy().starts_with("VITRINA_") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Free now, and one of thousands: that another test gets it before the binary listens is unlikely enough.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
