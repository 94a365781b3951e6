//! A Postgres to test on. Invariant: the cluster ends with the test process, however that ends.
//!
//! `VITRINA_TEST_POSTGRES_URL` names a server to use instead, by a superuser's URL.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

struct Cluster {
    url: String,
    /// Stops the cluster when its standard input closes: when this process ends.
    _warden: Option<Child>,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a new, empty database.
pub(crate) async fn database() -> String {
    let server = &CLUSTER.get_or_init(Cluster::find).url;
    let name =
        format!("vitrina_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(server).await.unwrap();
    run(&mut connection, &format!("CREATE DATABASE {name}")).await;
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// Runs a script of statements.
pub(crate) async fn run(connection: &mut PgConnection, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}\nin {script}"));
}

impl Cluster {
    fn find() -> Self {
        match std::env::var("VITRINA_TEST_POSTGRES_URL") {
            Ok(url) => Self { url, _warden: None },
            Err(_) => Self::start(),
        }
    }

    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("vitrina-api-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (bin, data) = (programs(), folder.join("data"));
        let prefix = if is_root() { "runuser -u postgres -- " } else { "" };
        if is_root() {
            shell(&format!("chown postgres {}", folder.display()));
        }
        let (bin, data, folder) = (bin.display(), data.display(), folder.display());
        shell(&format!(
            "{prefix}{bin}/initdb -D {data} -U postgres -A trust -E UTF8 --no-sync >/dev/null"
        ));
        let options = format!(
            "-F -p {port} -c listen_addresses=127.0.0.1 -k {folder} -c max_connections=300"
        );
        shell(&format!(
            "{prefix}{bin}/pg_ctl -w -D {data} -l {folder}/log -o '{options}' start >/dev/null"
        ));
        // In a group of its own: what ends the tests from the keyboard or by a time-out must not end the warden.
        let warden = Command::new("sh")
            .process_group(0)
            .arg("-c")
            .arg(format!("cat; {prefix}{bin}/pg_ctl -m immediate -D {data} stop; rm -rf {folder}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            _warden: Some(warden),
        }
    }
}

fn shell(command: &str) {
    // The server must not hold our pipes, or whoever reads our output waits for it for ever.
    let status = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir("/")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command} failed: {status}");
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// The newest installed version's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .expect("Postgres is installed under /usr/lib/postgresql");
    let number =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions.flatten().map(|entry| entry.path()).max_by_key(number).unwrap().join("bin")
}
