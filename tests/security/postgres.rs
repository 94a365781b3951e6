//! Postgres over TLS, by a password and by a certificate, as roles that may do no more than is documented.

use serde_json::json;

use super::{bank, documented};
use crate::bank::{MOVED, moved};
use crate::support::{
    Authority, Database, Folder, Producer, Server, Stack, Vitrina, Writer, create_topic, unique,
};

/// Nobody comes in without TLS; the test itself comes in as it likes.
const HBA: &str = "\
local   all all             trust
host    all postgres all    trust
hostssl all vitrina  all    scram-sha-256
hostssl all vitrina_reader all cert
";

async fn server(authority: &Authority) -> Server {
    // By its address alone: the name `localhost` is another machine's to it.
    let issued = authority.issue_for("postgres", &[], &["127.0.0.1"], 20);
    let files = [
        ("server.crt", &*issued.cert),
        ("server.key", &issued.key),
        ("root.crt", &authority.pem()),
        ("pg_hba.conf", HBA),
    ];
    Server::start_with(&files, &["ssl=on", "ssl_ca_file=root.crt"]).await
}

/// The same database by other users and parameters of the URL.
fn url(database: &Database, user: &str, parameters: &str) -> String {
    let (_, place) = database.url.split_once('@').unwrap();
    format!("postgres://{user}@{place}?{parameters}")
}

fn folder(authority: &Authority, topic: &str, url: &str) -> Folder {
    let client = authority.issue("vitrina_reader");
    bank(topic, &Stack::get().kafka, &Stack::get().registry, url)
        .write("root.pem", &authority.pem())
        .write("client.crt", &client.cert)
        .write("client.key", &client.key)
}

const PROJECTOR: &str = "vitrina:a-password";
const VERIFIED: &str = "sslmode=verify-full&sslrootcert=root.pem";
const CERTIFIED: &str =
    "sslmode=verify-full&sslrootcert=root.pem&sslcert=client.crt&sslkey=client.key";

#[tokio::test(flavor = "multi_thread")]
async fn roles_over_tls_with_no_more_rights_than_documented() {
    let authority = Authority::new();
    let server = server(&authority).await;
    let database = Database::create_on(&server.url()).await;
    let (name, topic) = (database.url.rsplit('/').next().unwrap(), unique("secure"));
    let script = documented("sql", "CREATE ROLE vitrina")
        .replace("DATABASE shop", &format!("DATABASE {name}"));
    for statement in script.split(';').filter(|statement| !statement.trim().is_empty()) {
        database.execute(statement).await;
    }
    create_topic(&topic, 1).await;
    let writer = Writer::register(&topic, MOVED).await;
    Producer::new().send(&moved(&writer, "a", 1, 150)).await;

    let projector = folder(&authority, &topic, &url(&database, PROJECTOR, VERIFIED));
    let checked = projector.run(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let projecting = projector.serve();
    database.eventually("SELECT events FROM balance.balance", &json!([{"events": 1}])).await;

    let reader = folder(&authority, &topic, &url(&database, "vitrina_reader", CERTIFIED));
    let reading = Vitrina::start(
        reader.command(&["serve", "--only", "query"]),
        reader.listen,
        reader.admin_listen,
    );
    reading.ready().await;
    let row = json!([{"account_id": "a", "events": 1}]);
    let list = "/v1/views/balance";
    assert_eq!(reading.eventually(list, &row).await.body["meta"]["generation"], 1);
    let rebuilt = projector.run(&["rebuild", "balance", "--wait"]);
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:?}");
    // What was made since is granted by default.
    assert_eq!(reading.eventually(list, &row).await.body["meta"]["generation"], 2);
    assert_eq!(reading.get_admin("/admin/v1/models").await.status, 200);
    let paused = reading.post_admin("/admin/v1/models/balance/pause", "").await;
    assert_eq!(
        (paused.status, &paused.body["type"]),
        (400, &json!("/problems/refused")),
        "{paused}"
    );

    let unencrypted = "SELECT usename FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
        WHERE usename LIKE 'vitrina%' AND NOT ssl";
    assert_eq!(database.rows(unencrypted).await, json!([]));
    let users = "SELECT DISTINCT usename AS u FROM pg_stat_activity WHERE usename LIKE 'vitrina%' ORDER BY 1";
    assert_eq!(database.rows(users).await, json!([{"u": "vitrina"}, {"u": "vitrina_reader"}]));
    let dropped = projector.run(&["drop", "balance@1"]);
    assert_eq!(dropped.status, Some(0), "{dropped:?}");
    assert!(reading.terminate().await.success() && projecting.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_wrongly_is_said_in_one_sentence() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    let server = server(&authority).await;
    let database = Database::create_on(&server.url()).await;
    database.execute("CREATE ROLE vitrina LOGIN PASSWORD 'a-password'").await;
    database.execute("CREATE ROLE vitrina_reader LOGIN").await;
    let place = database.url.split_once('@').unwrap().1.to_owned();
    let stranger = foreign.issue("vitrina_reader");
    let with = |user: &str, parameters: &str| {
        folder(&authority, "secure", &url(&database, user, parameters))
            .write("foreign.pem", &foreign.pem())
            .write("foreign.crt", &stranger.cert)
            .write("foreign.key", &stranger.key)
    };
    let reader = "vitrina_reader";
    let cases = [
        (
            PROJECTOR,
            VERIFIED.replace("root.pem", "foreign.pem"),
            "gives no TLS connection",
            "sslrootcert",
        ),
        ("vitrina:wrong", VERIFIED.to_owned(), "does not let Vitrina in", "password"),
        (PROJECTOR, "sslmode=disable".to_owned(), "no encryption", "postgres.url"),
        (reader, VERIFIED.to_owned(), "requires a valid client certificate", "sslcert"),
        (reader, CERTIFIED.replace("client.", "foreign."), "gives no TLS connection", "sslcert"),
        (
            reader,
            CERTIFIED.replace("client.key", "client.crt"),
            "gives no TLS connection",
            "sslkey",
        ),
    ];
    for (user, parameters, what, setting) in cases {
        said(&with(user, &parameters), &place, what, setting);
    }
    // By a name that is not in its certificate.
    let other = url(&database, PROJECTOR, VERIFIED).replace("@127.0.0.1", "@localhost");
    let named = place.replace("127.0.0.1", "localhost");
    said(&folder(&authority, "secure", &other), &named, "gives no TLS connection", "sslmode");

    let missing = with(PROJECTOR, &VERIFIED.replace("root.pem", "nowhere.pem"));
    let refused = missing.run(&["status"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("nowhere.pem (sslrootcert), which cannot be read"),
        "{refused:?}"
    );
}

/// What `check` says of Postgres there.
fn said(folder: &Folder, place: &str, what: &str, setting: &str) {
    let refused = folder.run(&["check"]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    let said = &refused.stderr;
    let expected = [&format!("Postgres at {place} (postgres.url)"), what, setting];
    assert!(expected.iter().all(|words| said.contains(words)), "{what}, {setting}: {said}");
    assert!(!said.contains("a-password"), "{said}");
}
