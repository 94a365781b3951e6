//! The registry over HTTPS, for who knows a name and a password: a front before the real one, which has neither.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vitrina_api::Tls;

use super::{MOVE, bank};
use crate::support::{Authority, Database, Folder, Stack, create_topic, unique};

/// `registrar:a-password`, as HTTP sends it.
const BASIC: &str = "Basic cmVnaXN0cmFyOmEtcGFzc3dvcmQ=";
const KNOWN: &str = "username = \"registrar\"\npassword = \"a-password\"\n";

/// Where the front listens, `https://…`; its certificate is for 127.0.0.1.
async fn front(authority: &Authority) -> String {
    let (folder, issued) = (TempDir::new().unwrap(), authority.issue("registry"));
    let (cert, key) = (folder.path().join("crt"), folder.path().join("key"));
    std::fs::write(&cert, issued.cert).unwrap();
    std::fs::write(&key, issued.key).unwrap();
    let tls = Arc::new(Tls::load(cert, key).unwrap());
    let (origin, path) = Stack::get().registry.split_once("/apis").unwrap();
    let client = reqwest::Client::new();
    let pass = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        if headers.get(header::AUTHORIZATION).is_none_or(|sent| sent != BASIC) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let url = format!("{origin}{}", uri.path_and_query().unwrap());
        let mut asked = client.request(method, url).body(body);
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            asked =
                headers.get(&name).iter().fold(asked, |asked, value| asked.header(&name, *value));
        }
        let answer = asked.send().await.unwrap();
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        let kind = kind.map(|kind| [(header::CONTENT_TYPE, kind)]);
        (
            answer.status(),
            kind.unwrap_or([(header::CONTENT_TYPE, "text/plain".parse().unwrap())]),
            answer.bytes().await.unwrap(),
        )
            .into_response()
    };
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().fallback(pass);
    tokio::spawn(vitrina_api::serve(listener, router, Some(tls), CancellationToken::new()));
    format!("https://127.0.0.1:{port}/apis{path}")
}

/// Adds lines to `[registry]`.
fn registry(folder: Folder, lines: &str) -> Folder {
    let settings = folder.settings();
    folder.write("vitrina.toml", &settings.replace("[registry]\n", &format!("[registry]\n{lines}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn https_with_a_name_and_a_password() {
    let (authority, foreign, topic) = (Authority::new(), Authority::new(), unique("secure"));
    let database = Database::create().await;
    create_topic(&topic, 1).await;
    let url = front(&authority).await;
    let at = |url: &str, lines: &str| {
        let folder = bank(&topic, &Stack::get().kafka, url, &database.url)
            .write("ca.pem", &authority.pem())
            .write("foreign.pem", &foreign.pem());
        registry(folder, lines)
    };
    let trusted = format!("tls_ca = \"ca.pem\"\n{KNOWN}");
    let plain = url.replace("https://", "http://");
    for (url, lines, setting) in [
        (&url, KNOWN, "registry.tls_ca"),
        (&url, &trusted.replace("ca.pem", "foreign.pem"), "registry.tls_ca"),
        (&url.replace("127.0.0.1", "127.0.0.2"), &trusted, "registry.url"),
        (&url, &trusted.replace("a-password", "wrong"), "registry.password"),
        (&url, "tls_ca = \"ca.pem\"\n", "registry.username"),
        (&plain, &trusted, "registry.url"),
    ] {
        let refused = at(url, lines).run_with(&["publish", "bank.amount_moved"], MOVE);
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(setting), "{lines}: {refused:?}");
        assert_eq!(refused.stderr.trim().lines().count(), 1, "{refused:?}");
        assert!(!refused.stderr.contains("a-password"), "{refused:?}");
    }
    let refused = at(&url, "tls_ca = \"models\"\n").run(&["status"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("registry.tls_ca names"), "{refused:?}");

    let folder = at(&url, &trusted);
    let checked = folder.run(&["check"]);
    assert_eq!(checked.status, Some(0), "{checked:?}");
    let published = folder.run_with(&["publish", "bank.amount_moved"], MOVE);
    assert_eq!(published.status, Some(0), "{published:?}");
    let serving = folder.serve();
    let one = serde_json::json!([{"events": 1}]);
    database.eventually("SELECT events FROM balance.balance", &one).await;
    assert!(serving.terminate().await.success());
}
