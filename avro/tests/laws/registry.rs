//! What the registry's answers mean, against a server that gives one answer after another.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime;
use vitrina_avro::{Registry, RegistryError, RegistrySettings, SchemaRef};

use crate::common::placed;

/// A registry that gives these answers in turn, and its requests' first lines once it is done.
async fn serve(answers: Vec<(u16, String)>) -> (Registry, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            asked.push(
                String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned(),
            );
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        asked
    });
    (Registry::new(&RegistrySettings { url, ..RegistrySettings::default() }).unwrap(), task)
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn found() -> (u16, String) {
    (200, json!({"schema": placed("")}).to_string())
}

fn error(status: u16, code: u32) -> (u16, String) {
    (status, json!({"error_code": code, "message": "said so"}).to_string())
}

#[test]
fn answers_are_judged() {
    let unusable = |body: serde_json::Value| (200, body.to_string());
    for (answer, kind) in [
        (error(404, 40403), "unknown"),
        (error(401, 40101), "refused"),
        (error(403, 40301), "refused"),
        (error(500, 50001), "away"),
        (error(503, 1), "away"),
        (error(429, 42901), "rate limited"),
        ((504, "<html>".into()), "away"),
        ((200, "<html>".into()), "away"),
        ((404, "<html>".into()), "away"),
        (unusable(json!({"schema": "{\"type\":\"strin\"}"})), "unusable"),
        (unusable(json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"})), "unusable"),
    ] {
        let outcome = block_on(async {
            let (registry, _task) = serve(vec![answer.clone()]).await;
            registry.schema(&SchemaRef::Id(7)).await
        });
        let said = match outcome.unwrap_err() {
            RegistryError::Unknown(_) => "unknown",
            RegistryError::Unusable(_) => "unusable",
            RegistryError::Away(_) => "away",
            RegistryError::RateLimited(_) => "rate limited",
            RegistryError::Refused(_) => "refused",
        };
        assert_eq!(said, kind, "{answer:?}");
    }
}

#[test]
fn nobody_there_is_away() {
    let outcome = block_on(async {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let registry = Registry::new(&RegistrySettings {
            url: format!("http://{free}"),
            ..Default::default()
        })
        .unwrap();
        registry.schema(&SchemaRef::Id(7)).await
    });
    assert!(matches!(outcome, Err(RegistryError::Away(_))), "{outcome:?}");
}

#[test]
fn a_schema_registered_later_is_found_and_then_remembered() {
    let asked = block_on(async {
        let (registry, task) = serve(vec![error(404, 40403), error(500, 1), found()]).await;
        let id = SchemaRef::Id(7);
        assert_eq!(registry.schema(&id).await.unwrap_err(), RegistryError::Unknown("7".into()));
        assert!(matches!(registry.schema(&id).await, Err(RegistryError::Away(_))));
        assert!(registry.schema(&id).await.is_ok());
        assert!(registry.schema(&id).await.is_ok(), "without asking again: the server is gone");
        task.await.unwrap()
    });
    assert_eq!(asked, vec!["GET /schemas/ids/7?deleted=true HTTP/1.1"; 3]);
}

#[test]
fn references_are_put_in_and_guids_are_asked_for() {
    let asked = block_on(async {
        let line = json!({"type": "record", "name": "shop.Line", "fields": [{"name": "sku", "type": "string"}]});
        let schema =
            placed(r#"{"name":"one","type":"shop.Line"},{"name":"two","type":["null","Line"]}"#);
        let reference = json!([{"name": "shop.Line", "subject": "line", "version": 1}]);
        let answers = vec![
            (200, json!({"schema": schema, "references": reference}).to_string()),
            (
                200,
                json!({"subject": "line", "version": 1, "id": 3, "schema": line.to_string()})
                    .to_string(),
            ),
        ];
        let (registry, task) = serve(answers).await;
        let guid = SchemaRef::Guid(uuid::Uuid::from_u128(7));
        registry.schema(&guid).await.unwrap();
        registry.schema(&guid).await.unwrap();
        task.await.unwrap()
    });
    assert_eq!(
        asked[0],
        "GET /schemas/guids/00000000-0000-0000-0000-000000000007?deleted=true HTTP/1.1"
    );
    assert_eq!(asked[1], "GET /subjects/line/versions/1 HTTP/1.1");
}

#[test]
fn registering_gives_the_id_or_says_why_not() {
    let outcome = |answer| {
        block_on(async {
            let (registry, _task) = serve(vec![answer]).await;
            registry.register("shop.events-shop.Placed", &placed("")).await
        })
    };
    assert_eq!(outcome((200, json!({"id": 12}).to_string())), Ok(12));
    assert!(
        matches!(outcome(error(409, 409)), Err(RegistryError::Refused(why)) if why.contains("said so"))
    );
    assert!(matches!(outcome(error(404, 40401)), Err(RegistryError::Refused(_))));
    assert!(matches!(outcome(error(500, 50001)), Err(RegistryError::Away(_))));
}
