//! Whole lists over real sockets: one state of the database, readers that stop and leave, and bodies that break off.

use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use vitrina_api::{Api, ApiSettings, serve};

use crate::stage::{Answer, Stage};

/// More than what sockets hold between the database and a reader who does not read.
const ROWS: usize = 60_000;
const DEADLINE: Duration = Duration::from_secs(20);

struct Served {
    stage: Stage,
    address: std::net::SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

async fn served(patience: Duration) -> Served {
    let mut stage = Stage::empty().await;
    stage.generation("big", 1, &format!("CREATE TABLE big (id int PRIMARY KEY, text text); INSERT INTO big SELECT n, repeat('x', 400) FROM generate_series(1, {ROWS}) n; ANALYZE big")).await;
    let settings =
        ApiSettings { reader_patience: patience, whole_lists: 2, ..ApiSettings::new(&stage.url) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, Api::new(settings).unwrap().router(), None, stop.clone()));
    Served { stage, address, _stop: stop.drop_guard() }
}

impl Served {
    /// A request whose answer is read up to the first rows.
    async fn begin(&self, uri: &str) -> (TcpStream, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: application/x-ndjson\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = vec![0; 1000];
        stream.read_exact(&mut text).await.unwrap();
        assert!(text.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&text));
        (stream, text)
    }

    /// How many connections read a list.
    async fn reading(&mut self) -> i64 {
        let reading = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vitrina query' AND (state = 'idle in transaction' OR query LIKE 'FETCH%')";
        sqlx::query_scalar(AssertSqlSafe(reading))
            .fetch_one(&mut self.stage.postgres)
            .await
            .unwrap()
    }

    async fn nobody_reads(&mut self) {
        until(async || self.reading().await == 0).await;
    }
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let met = async { while !condition().await {} };
    within(met).await;
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("this does not take so long")
}

async fn rest(mut stream: TcpStream, mut text: Vec<u8>) -> String {
    // An error is a connection that was reset: what came before it is there.
    let _ = within(stream.read_to_end(&mut text)).await;
    String::from_utf8(text).unwrap()
}

fn is_whole(answer: &str) -> bool {
    answer.ends_with("\r\n0\r\n\r\n")
}

#[tokio::test]
async fn a_whole_list_is_one_state_whatever_changes_meanwhile() {
    let mut served = served(DEADLINE).await;
    let (stream, text) = served.begin("/v1/views/big?limit=all").await;
    served.stage.run(r#"UPDATE "big@1".big SET text = 'new'; DELETE FROM "big@1".big WHERE id % 2 = 0; INSERT INTO "big@1".big VALUES (0, 'new')"#).await;
    let answer = rest(stream, text).await;
    assert!(is_whole(&answer));
    let row = format!("\"text\":\"{}\"}}", "x".repeat(400));
    // Chunks may end within a row.
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let lines: Vec<_> = body
        .split("\r\n")
        .skip(1)
        .step_by(2)
        .collect::<String>()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(lines.len(), ROWS);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line, &format!("{{\"id\":{},{row}", number + 1));
    }
    served.nobody_reads().await;
}

/// What is read before the rows, positions and the count, is of the rows' state, though others commit in between.
#[tokio::test]
async fn a_whole_list_and_what_is_said_of_it_are_one_state() {
    let mut stage = Stage::flight().await;
    stage.run(r#"INSERT INTO "flight@1"."@position" (topic, partition, topic_id, epoch, next_offset, first_offset) VALUES ('air', 0, '', 1, 5, 0)"#).await;
    stage.run(r#"BEGIN; LOCK "flight@1".leg"#).await;
    let request = Request::get("/v1/views/flight.leg?limit=all").header("accept", "text/csv");
    let answer = Answer::to(stage.router.clone(), request.body(Body::empty()).unwrap());
    let mut other = PgConnection::connect(&stage.url).await.unwrap();
    let change = async {
        let waits = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'vitrina query' AND wait_event_type = 'Lock'";
        within(async {
            while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut other).await.unwrap() {}
        })
        .await;
        let change = r#"INSERT INTO "flight@1".leg VALUES ('F9', 1, 'OPO'); UPDATE "flight@1"."@position" SET next_offset = 6; COMMIT"#;
        stage.run(change).await;
    };
    let (answer, ()) = tokio::join!(answer, change);
    assert_eq!(answer.header("projection-position"), "air=4", "{}", answer.text);
    assert!(!answer.text.contains("F9"), "{}", answer.text);
}

#[tokio::test]
async fn what_breaks_off_does_not_look_whole() {
    let mut served = served(DEADLINE).await;
    let (stream, text) = served.begin("/v1/views/big?limit=all").await;
    served.stage.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND (state = 'idle in transaction' OR query LIKE 'FETCH%')").await;
    let answer = rest(stream, text).await;
    assert!(answer.len() > 1000 && !is_whole(&answer));
}

#[tokio::test]
async fn who_leaves_holds_nothing() {
    let mut served = served(DEADLINE).await;
    let (stream, _) = served.begin("/v1/views/big?limit=all").await;
    assert_eq!(served.reading().await, 1);
    drop(stream);
    served.nobody_reads().await;
}

#[tokio::test]
async fn who_does_not_read_is_given_up() {
    let mut served = served(Duration::from_millis(200)).await;
    let (stream, text) = served.begin("/v1/views/big?limit=all").await;
    served.nobody_reads().await;
    assert!(!is_whole(&rest(stream, text).await));
}

/// Nor does the system go on to offer what was not taken: the reader's end learns of it without reading a byte.
#[tokio::test]
async fn who_does_not_read_holds_no_connection_either() {
    let mut served = served(Duration::from_millis(200)).await;
    let (stream, _) = served.begin("/v1/views/big?limit=all").await;
    served.nobody_reads().await;
    within(stream.ready(tokio::io::Interest::ERROR)).await.unwrap();
    assert_eq!(
        stream.take_error().unwrap().map(|error| error.kind()),
        Some(std::io::ErrorKind::ConnectionReset)
    );
}

#[tokio::test]
async fn only_so_many_are_read_at_a_time() {
    let mut served = served(DEADLINE).await;
    let first = served.begin("/v1/views/big?limit=all").await;
    let second = served.begin("/v1/views/big?limit=all&order=id.desc").await;
    let ask = async |served: &Served, rest: &str| {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!(
            "GET /v1/views/big?{rest}\r\nHost: a\r\nConnection: close\r\nAccept: application/x-ndjson\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        within(stream.read_to_string(&mut text)).await.unwrap();
        text
    };
    let refused = ask(&served, "limit=all HTTP/1.1").await;
    assert!(
        refused.starts_with("HTTP/1.1 503 ")
            && refused.contains("/problems/overloaded")
            && refused.contains("retry-after: 1"),
        "{refused}"
    );
    // Pages go on as ever.
    assert!(ask(&served, "limit=1 HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
    drop((first, second));
    served.nobody_reads().await;
    until(async || ask(&served, "limit=all&id=lt.3 HTTP/1.1").await.starts_with("HTTP/1.1 200 "))
        .await;
    // There, a body that breaks off could not be told from a whole one.
    let old = ask(&served, "limit=all HTTP/1.0").await;
    assert!(old.contains(" 400 ") && old.contains("HTTP/1.1"), "{old}");
}

#[tokio::test]
async fn what_takes_too_long_to_begin_is_refused() {
    let mut served = served(DEADLINE).await;
    served
        .stage
        .generation(
            "slow",
            1,
            "CREATE VIEW slow AS SELECT a, a % 7 AS b FROM generate_series(1, 100000000000) a",
        )
        .await;
    let request = Request::get("/v1/views/slow?limit=all&b=eq.3").header("accept", "text/csv");
    let answer = served.stage.send(request.body(Body::empty()).unwrap()).await;
    let problem = answer.problem("slow", 400, "too-expensive");
    assert!(problem["detail"].as_str().unwrap().contains("(b)"), "{problem}");
    served.nobody_reads().await;
}
