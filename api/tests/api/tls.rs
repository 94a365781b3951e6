//! TLS over real sockets: what the accept loop holds, it holds here, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::routing::get;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use vitrina_api::{Tls, serve};

use crate::certificates::{Authority, Issued};
use crate::frames::{self, Frames};

/// Nothing here takes so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener that speaks TLS, and its certificate's files.
struct Stage {
    folder: TempDir,
    authority: Authority,
    tls: Arc<Tls>,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Stage {
    async fn serving(router: Router) -> Self {
        let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
        write(folder.path(), &authority.issue("first"));
        let tls = Arc::new(Tls::load(cert(folder.path()), key(folder.path())).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = serve(listener, router, Some(tls.clone()), shutdown.clone());
        let serving = tokio::spawn(serving);
        Self { folder, authority, tls, address, shutdown, serving }
    }

    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap();
        roots.add(root).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let socket = TcpStream::connect(self.address).await.unwrap();
        let connecting =
            TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), socket);
        tokio::time::timeout(PATIENCE, connecting).await.unwrap().unwrap()
    }

    async fn ask(&self, path: &str) -> String {
        let mut stream = self.connect("http/1.1").await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn ask_http2(&self, path: &str) -> (u8, Vec<u8>) {
        let mut frames = Frames::over(self.connect("h2").await).await;
        frames.get(1, path).await;
        let head = frames.until(|frame| frame.kind == frames::HEADERS).await.unwrap();
        let body = frames.until(|frame| frame.kind == frames::DATA).await.unwrap();
        (head.payload[0], body.payload)
    }

    /// The certificate that is shown to who connects now.
    async fn shown(&self) -> Vec<u8> {
        let stream = self.connect("http/1.1").await;
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

fn cert(folder: &Path) -> PathBuf {
    folder.join("tls.crt")
}

fn key(folder: &Path) -> PathBuf {
    folder.join("tls.key")
}

fn write(folder: &Path, issued: &Issued) {
    std::fs::write(cert(folder), &issued.cert).unwrap();
    std::fs::write(key(folder), &issued.key).unwrap();
}

/// What comes until the connection ends, in whatever way.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hosts() -> Router {
    let host = |headers: HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() };
    Router::new().route("/", get(host))
}

#[tokio::test]
async fn both_protocols_are_spoken_and_name_the_host() {
    let stage = Stage::serving(hosts()).await;
    let answer = stage.ask("/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("here"), "{answer}");
    // HPACK's own entry for `:status: 200`.
    assert_eq!(stage.ask_http2("/").await, (0x88, frames::HOST.as_bytes().to_vec()));
}

#[tokio::test]
async fn plain_http_is_told_where_to_ask() {
    let stage = Stage::serving(hosts()).await;
    let mut plain = TcpStream::connect(stage.address).await.unwrap();
    plain
        .write_all(b"GET /v1/views?token=secret HTTP/1.1\r\nHost: db.example:8080\r\n\r\n")
        .await
        .unwrap();
    let answer = read_all(&mut plain).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request"), "{answer}");
    assert!(answer.contains("ask https://db.example:8080/v1/views."), "{answer}");
    assert!(answer.contains("application/problem+json") && !answer.contains("secret"), "{answer}");
    let mut noise = TcpStream::connect(stage.address).await.unwrap();
    noise.write_all(&[0xff; 64]).await.unwrap();
    assert!(!read_all(&mut noise).await.contains("200"));
}

#[tokio::test]
async fn what_is_half_done_is_cut_off_and_holds_nobody_up() {
    let entered = CancellationToken::new();
    let shutdown = CancellationToken::new();
    let handler = {
        let (entered, shutdown) = (entered.clone(), shutdown.clone());
        move || async move {
            entered.cancel();
            shutdown.cancelled().await;
            "finished"
        }
    };
    let stage = Stage::serving(hosts().route("/slow", get(handler))).await;
    let begun = Instant::now();
    let mut silent = Vec::new();
    for half_a_hello in [&b""[..], &[22, 3, 1, 2, 0, 1]].repeat(20) {
        let mut socket = TcpStream::connect(stage.address).await.unwrap();
        socket.write_all(half_a_hello).await.unwrap();
        silent.push(socket);
    }
    let mut half = stage.connect("http/1.1").await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    assert!(stage.ask("/").await.ends_with("here"));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    silent.push(half.into_inner().0);
    for socket in &mut silent {
        assert!(!read_all(socket).await.contains("200"));
    }
    assert!((4..9).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());

    let mut whole = stage.connect("http/1.1").await;
    whole.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    entered.cancelled().await;
    // Neither who has not opened yet nor who has nothing under way holds the shutdown up.
    let _silent = TcpStream::connect(stage.address).await.unwrap();
    let mut idle = Frames::over(stage.connect("h2").await).await;
    idle.get(1, "/").await;
    idle.until(|frame| frame.kind == frames::DATA).await.unwrap();
    stage.shutdown.cancel();
    shutdown.cancel();
    assert!(read_all(&mut whole).await.ends_with("finished"));
    assert!(idle.until(|frame| frame.kind == frames::GOAWAY).await.is_some());
    drop(idle);
    tokio::time::timeout(Duration::from_secs(2), stage.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn http2_has_its_bounds() {
    let stage = Stage::serving(hosts()).await;
    let mut frames = Frames::over(stage.connect("h2").await).await;
    let settings = frames.until(|frame| frame.kind == frames::SETTINGS).await.unwrap().settings();
    assert_eq!((settings[&3], settings[&6]), (100, 128 * 1024));

    // Requests that are taken back at once: an attacker's whole trick.
    let reset = frames::frame(frames::RST_STREAM, 0, 1, &8u32.to_be_bytes());
    let mut flood = Vec::new();
    for stream in (1..2001).step_by(2) {
        flood.extend(frames::request(stream, "/"));
        flood.extend(&reset[..5]);
        flood.extend(u32::to_be_bytes(stream));
        flood.extend(&reset[9..]);
    }
    frames.send(&flood).await;
    let goodbye = frames.until(|frame| frame.kind == frames::GOAWAY).await.unwrap();
    assert_eq!(goodbye.payload[4..8], 11u32.to_be_bytes(), "ENHANCE_YOUR_CALM: {goodbye:?}");

    // Headers without an end.
    let mut frames = Frames::over(stage.connect("h2").await).await;
    let begun = frames::request(1, "/");
    frames.send(&frames::frame(frames::HEADERS, 1, 1, &begun[9..])).await;
    let more = frames::frame(frames::CONTINUATION, 0, 1, &frames::header("x", &"y".repeat(4000)));
    for _ in 0..500 {
        if frames.try_send(&more).await.is_err() {
            break;
        }
    }
    let end =
        frames.until(|frame| frame.kind == frames::GOAWAY || frame.kind == frames::HEADERS).await;
    assert!(end.is_none_or(|frame| frame.kind == frames::GOAWAY || frame.payload[0] != 0x88));
}

#[tokio::test]
async fn http2_lets_nobody_stay_who_neither_asks_nor_takes() {
    let gone = CancellationToken::new();
    let (answer, waiting) = (gone.clone(), gone.clone());
    let large = move || {
        // Gone when the last of its bytes is on its way, or nobody is there any more to take them.
        let held = Held(vec![7; 32 << 20], answer.clone());
        async { Body::from(Bytes::from_owner(held)) }
    };
    let patient = move || async move {
        waiting.cancelled().await;
        "worked long"
    };
    let router = hosts().route("/large", get(large)).route("/patient", get(patient));
    let stage = Stage::serving(router).await;
    let begun = Instant::now();
    let mut silent = stage.connect("h2").await;
    let mut half = Frames::over(stage.connect("h2").await).await;
    half.send(&frames::frame(frames::HEADERS, 1, 1, &frames::header("x", "y"))).await;
    let mut taker = Frames::over(stage.connect("h2").await).await;
    taker.get(1, "/large").await;
    let asked = stage.ask("/patient");
    let (asked, ()) = tokio::join!(asked, async {
        read_all(&mut silent).await;
        while half.until(|_| true).await.is_some() {}
        tokio::time::timeout(PATIENCE, gone.cancelled()).await.unwrap();
    });
    assert!(asked.ends_with("worked long"), "{asked}");
    assert!((9..16).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn http1_lets_nobody_stay_who_does_not_take_the_answer() {
    let gone = CancellationToken::new();
    let answer = gone.clone();
    let large = move || {
        let held = Held(vec![7; 32 << 20], answer.clone());
        async { Body::from(Bytes::from_owner(held)) }
    };
    let stage = Stage::serving(Router::new().route("/large", get(large))).await;
    let mut taker = stage.connect("http/1.1").await;
    taker.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::timeout(PATIENCE, gone.cancelled()).await.unwrap();
}

/// Bytes that tell when nobody holds them any more.
struct Held(Vec<u8>, CancellationToken);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.cancel();
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let stage = Stage::serving(hosts()).await;
    let folder = stage.folder.path();
    let first = stage.shown().await;
    assert!(!stage.tls.reload().unwrap());
    let mut open = stage.connect("http/1.1").await;

    write(folder, &stage.authority.issue("second"));
    assert!(stage.tls.reload().unwrap());
    let second = stage.shown().await;
    assert_ne!(first, second);
    open.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(&mut open).await.ends_with("here"), "who was there before stays");

    let other = stage.authority.issue("third");
    let expired = stage.authority.issue_until("fourth", -3);
    let (cert_name, key_name) =
        (cert(folder).display().to_string(), key(folder).display().to_string());
    for (cert_pem, key_pem, said) in [
        (
            &other.cert[..],
            &expired.key[..],
            vec![&*cert_name, &key_name, "does not belong to the certificate"],
        ),
        ("", &other.key, vec![&cert_name, "http.tls_cert", "no certificate"]),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &other.key,
            vec![&cert_name],
        ),
        (&other.cert, &other.cert, vec![&key_name, "http.tls_key", "no private key"]),
        (&expired.cert, &expired.key, vec![&cert_name, "has expired on 20"]),
    ] {
        std::fs::write(cert(folder), cert_pem).unwrap();
        std::fs::write(key(folder), key_pem).unwrap();
        let error = stage.tls.reload().unwrap_err().to_string();
        assert!(said.iter().all(|word| error.contains(word)), "{error}");
        assert_eq!(stage.shown().await, second);
    }
    std::fs::remove_file(key(folder)).unwrap();
    let error = stage.tls.reload().unwrap_err().to_string();
    assert!(error.contains(&key_name) && error.contains("cannot be read"), "{error}");
    write(folder, &other);
    assert!(stage.tls.reload().unwrap());
    assert_ne!(stage.shown().await, second);
}

#[test]
fn an_expired_certificate_is_said_with_its_date() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new());
    let said = |days| {
        write(folder.path(), &authority.issue_until("a", days));
        let tls = Tls::load(cert(folder.path()), key(folder.path())).unwrap();
        tls.look(SystemTime::now()).unwrap_or_default()
    };
    assert_eq!(said(20), "");
    let (soon, late) = (said(3), said(-3));
    assert!(
        soon.contains("tls.crt (http.tls_cert) expires on 20") && soon.contains("in 2 days")
            || soon.contains("in 3 days"),
        "{soon}"
    );
    assert!(late.contains("tls.crt (http.tls_cert) has expired on 20"), "{late}");
}
