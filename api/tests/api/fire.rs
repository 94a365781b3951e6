//! Bytes from people who wish the service ill, over real sockets: what they send ends, and others are answered meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_api::serve;

use crate::stage::Stage;

/// Longer than any bound of the service's own.
const PATIENCE: Duration = Duration::from_secs(60);

struct Target {
    stage: Stage,
    address: SocketAddr,
    _shutdown: tokio_util::sync::DropGuard,
}

impl Target {
    async fn new() -> Self {
        let stage = Stage::flight().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, stage.router.clone(), None, shutdown.clone()));
        Self { stage, address, _shutdown: shutdown.drop_guard() }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// All that comes back, until the service ends the connection. It must, whatever was sent.
    async fn told(&self, sent: &[u8]) -> String {
        let mut socket = self.connect().await;
        // It may have hung up before it has read all of this.
        socket.write_all(sent).await.ok();
        let mut told = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut told)).await;
        assert!(ended.is_ok(), "still open after {}", String::from_utf8_lossy(sent));
        String::from_utf8_lossy(&told).into_owned()
    }

    /// A well-behaved caller has its answer.
    async fn answered(&self) {
        let request = b"GET /v1/views/flight/F1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let told = self.told(request).await;
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
    }
}

fn answers(told: &str) -> usize {
    told.matches("HTTP/1.1 ").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_idle_connections_are_closed_and_keep_nobody_out() {
    // Both ends of each are this process's.
    rlimit::increase_nofile_limit(8192).unwrap();
    let target = Target::new().await;
    let mut idle = JoinSet::new();
    for _ in 0..3000 {
        let address = target.address;
        idle.spawn(async move {
            let Ok(mut socket) = TcpStream::connect(address).await else { return };
            // Each begins a request, and none ends it.
            socket.write_all(b"GET /v1/views HTTP/1.1\r\n").await.ok();
            let mut byte = [0];
            while socket.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        });
    }
    target.answered().await;
    let closed = async { while idle.join_next().await.is_some() {} };
    assert!(tokio::time::timeout(PATIENCE, closed).await.is_ok(), "some are open still");
    target.answered().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let target = Target::new().await;
    let mut socket = target.connect().await;
    let begun = Instant::now();
    let mut byte = [0];
    loop {
        let sent = socket.write_all(b"a").await;
        let read = tokio::time::timeout(Duration::from_millis(100), socket.read(&mut byte)).await;
        if sent.is_err() || matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "still waited for");
    }
}

#[tokio::test]
async fn no_body_is_ever_taken_for_a_request() {
    let target = Target::new().await;
    let hidden = "GET /livez HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n";
    let length = hidden.len();
    for head in [
        // Two ways to say where the body ends, of which somebody in between believes the other.
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".to_owned(),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n"),
        format!("Content-Length: 0, {length}\r\n\r\n"),
        "Content-Length: +0\r\n\r\n".to_owned(),
        "Content-Length: -1\r\n\r\n".to_owned(),
        "Content-Length: 0x10\r\n\r\n".to_owned(),
        "Content-Length : 0\r\n\r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n\r\n".to_owned(),
        "Transfer-Encoding:\x0bchunked\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n".to_owned(),
        "Content-Length: 0\r\n Folded: 1\r\n\r\n".to_owned(),
    ] {
        for method in ["GET", "POST"] {
            let request = format!("{method} /v1/views HTTP/1.1\r\nHost: a\r\n{head}{hidden}");
            let told = target.told(request.as_bytes()).await;
            assert!(answers(&told) <= 1, "{request}\n{told}");
        }
    }
    // A body that is whole and plainly told belongs to its request, and what follows it is the next one.
    let request =
        format!("GET /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{hidden}");
    let told = target.told(request.as_bytes()).await;
    assert!(answers(&told) == 1 && !told.contains("hidden"), "{told}");
    let told = target.told(format!("{request}{hidden}").as_bytes()).await;
    assert!(answers(&told) <= 2, "{told}");
    target.answered().await;
}

#[tokio::test]
async fn heads_out_of_all_proportion_are_refused() {
    let target = Target::new().await;
    let long = "a".repeat(40_000);
    let longer = "a".repeat(1_000_000);
    let many: String = (0..5000).map(|number| format!("h{number}: a\r\n")).collect();
    for (head, statuses) in [
        (format!("GET /v1/views?{long} HTTP/1.1\r\nHost: a\r\n"), &["414"][..]),
        (format!("GET /v1/views HTTP/1.1\r\nHost: a\r\nlarge: {long}\r\n"), &["431"]),
        (format!("GET /v1/views HTTP/1.1\r\nHost: a\r\n{many}"), &["431"]),
        (format!("GET /v1/views?{longer} HTTP/1.1\r\nHost: a\r\n"), &["414", "431"]),
        (format!("GET /v1/views HTTP/1.1\r\nHost: a\r\nlarge: {longer}\r\n"), &["431"]),
    ] {
        let told = target.told(format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        let status = told.get(9..12).unwrap_or_default();
        // Whoever sends on after the refusal may lose it to a connection that is reset.
        assert!(told.is_empty() || statuses.contains(&status), "{status}: {}", &head[..80]);
    }
    target.answered().await;
}

#[tokio::test]
async fn more_parameters_than_anybody_means_are_answered_at_once() {
    let target = Target::new().await;
    let many = |parameter: &str| {
        let count = 30_000 / (parameter.len() + 1);
        format!("/v1/views/flight?{}", vec![parameter; count].join("&"))
    };
    for uri in [
        many("a"),
        many("a=1"),
        many("&"),
        many("carrier=eq.KL"),
        many("delay=gte.1"),
        many("stops=neq.1"),
        many("select=a"),
        many("not.or=(delay.eq.1)"),
        format!("/v1/views/flight?carrier=in.({})", vec!["KL"; 10_000].join(",")),
        format!("/v1/views/flight?select={}", vec!["carrier"; 3000].join(",")),
        format!("/v1/views/flight?order={}", vec!["carrier"; 3000].join(",")),
        format!("/v1/views/flight?gate=like.{}", "*".repeat(30_000)),
        format!("/v1/views/flight?gate=like.{}x", "*a".repeat(10_000)),
        format!("/v1/views/flight?or={}a.eq.1{}", "(or".repeat(5000), ")".repeat(5000)),
        format!("/v1/views/flight{}", "/a".repeat(10_000)),
    ] {
        let begun = Instant::now();
        let answer = target.stage.get(&uri).await;
        assert!(answer.status.as_u16() < 500, "{}: {}", &uri[..60], answer.text);
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", &uri[..60]);
        assert!(answer.text.len() < 100_000, "{}", &uri[..60]);
    }
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let target = Target::new().await;
    for sent in [
        &b"\r\n\r\n\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/views\r\n\r\n",
        b"GET /v1/views HTTP/9.9\r\n\r\n",
        b"GET /v1/views HTTP/1.1\nHost: a\nConnection: close\n\n",
        b"GET /\x80\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET  /v1/views  HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere.example/v1/views HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET //v1//views HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /v1/../admin/v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/views HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n",
    ] {
        let told = target.told(sent).await;
        assert!(!told.contains("HTTP/1.1 5") || told.contains("501"), "{told}");
    }
    target.answered().await;
}
