//! What the registry's answers mean, against a server that answers as it is told.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime;
use vitrina_avro::{Registry, RegistryError, RegistrySettings, Schema, SchemaRef};

use crate::common::placed;

type Answer = (u16, String);

/// Answers to requests whose first line holds the word, in turn, the last one for ever; and to all others, nothing but
/// a closed connection.
type Script = Vec<(&'static str, Vec<Answer>)>;

/// A registry that answers so, and the first lines of what it is asked.
async fn serve(mut script: Script) -> (Registry, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            let line = String::from_utf8_lossy(&request).lines().next().unwrap().to_owned();
            let answers = script.iter_mut().find(|(word, _)| line.contains(word));
            seen.lock().unwrap().push(line);
            let Some((_, answers)) = answers else { continue };
            let (status, body) =
                if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (Registry::new(&RegistrySettings { url, ..RegistrySettings::default() }).unwrap(), asked)
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

fn kind(outcome: &Result<Arc<Schema>, RegistryError>) -> &'static str {
    match outcome {
        Ok(_) => "a schema",
        Err(RegistryError::Unknown(_)) => "unknown",
        Err(RegistryError::Unserved(_)) => "unserved",
        Err(RegistryError::Unusable(_)) => "unusable",
        Err(RegistryError::Away(_)) => "away",
        Err(RegistryError::RateLimited(_)) => "rate limited",
        Err(RegistryError::Useless(_)) => "useless",
        Err(RegistryError::Refused(_)) => "refused",
    }
}

fn html(status: u16) -> Answer {
    (status, "<html>".into())
}

fn not_avro() -> Answer {
    json(200, json!({"schema": "{\"type\":\"strin\"}"}))
}

fn json(status: u16, body: serde_json::Value) -> Answer {
    (status, body.to_string())
}

/// What is said of one id, of a registry that serves others; of one that says the same to everything; and of one that
/// gave a schema before and says the same to everything now.
#[test]
fn an_answer_about_one_schema_is_not_the_registrys_and_the_other_way_round() {
    let proto = json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"});
    let spring = json!({"status": 404, "error": "Not Found", "path": "/schemas/ids/7"});
    for (answer, about_one, to_all) in [
        (error(404, 40403), "unknown", "unknown"),
        (error(404, 404), "unknown", "useless"),
        (html(404), "unknown", "useless"),
        ((404, String::new()), "unknown", "useless"),
        (json(404, spring), "unknown", "useless"),
        (error(400, 400), "unserved", "useless"),
        (error(403, 40301), "unserved", "useless"),
        (html(403), "unserved", "useless"),
        (error(405, 405), "unserved", "useless"),
        (error(422, 42201), "unserved", "useless"),
        (html(302), "unserved", "useless"),
        (error(401, 40101), "useless", "useless"),
        (html(401), "useless", "useless"),
        (error(429, 42901), "rate limited", "rate limited"),
        (error(408, 408), "away", "away"),
        (error(500, 50001), "away", "away"),
        (error(503, 1), "away", "away"),
        (html(504), "away", "away"),
        (html(200), "away", "away"),
        (json(200, json!([])), "away", "away"),
        (json(200, json!({})), "unusable", "useless"),
        (json(200, json!({"schema": null})), "unusable", "useless"),
        (not_avro(), "unusable", "useless"),
        (json(200, proto), "unusable", "useless"),
    ] {
        let of = |script: Script, before: bool| {
            block_on(async {
                let (registry, _) = serve(script).await;
                if before {
                    registry.schema(&SchemaRef::Id(3)).await.unwrap();
                }
                registry.schema(&SchemaRef::Id(7)).await
            })
        };
        let one = |word| (word, vec![answer.clone()]);
        let sane = of(vec![one("ids/7"), ("subjects", vec![json(200, json!([]))])], false);
        assert_eq!(kind(&sane), about_one, "{answer:?} about one");
        let known =
            of(vec![one("ids/7"), ("ids/3", vec![found()]), ("subjects", vec![html(403)])], true);
        assert_eq!(kind(&known), about_one, "{answer:?} about one, and another is known");
        let all = of(vec![one("GET")], false);
        assert_eq!(kind(&all), to_all, "{answer:?} to all: {all:?}");
        if answer == not_avro() {
            continue; // Whoever gives such a text to everything is a registry.
        }
        let later = vec![("ids/3", vec![found(), answer.clone()]), one("GET")];
        let later = of(later, true);
        assert!(
            !["unknown", "unserved", "unusable"].contains(&kind(&later)),
            "{answer:?} to all, later"
        );
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
    block_on(async {
        let answers = vec![error(404, 40403), error(500, 1), found(), error(500, 1)];
        let (registry, asked) = serve(vec![("ids/7", answers)]).await;
        let id = SchemaRef::Id(7);
        assert_eq!(registry.schema(&id).await.unwrap_err(), RegistryError::Unknown("7".into()));
        assert!(matches!(registry.schema(&id).await, Err(RegistryError::Away(_))));
        assert!(registry.schema(&id).await.is_ok());
        assert!(registry.schema(&id).await.is_ok(), "without asking again");
        assert_eq!(*asked.lock().unwrap(), vec!["GET /schemas/ids/7?deleted=true HTTP/1.1"; 3]);
    });
}

#[test]
fn references_are_put_in_and_guids_are_asked_for() {
    block_on(async {
        let line = json!({"type": "record", "name": "shop.Line", "fields": [{"name": "sku", "type": "string"}]});
        let schema =
            placed(r#"{"name":"one","type":"shop.Line"},{"name":"two","type":["null","Line"]}"#);
        let reference = json!([{"name": "shop.Line", "subject": "line", "version": 1}]);
        let line = json!({"subject": "line", "version": 1, "id": 3, "schema": line.to_string()});
        let (registry, asked) = serve(vec![
            ("guids", vec![json(200, json!({"schema": schema, "references": reference}))]),
            ("line", vec![json(200, line)]),
        ])
        .await;
        let guid = SchemaRef::Guid(uuid::Uuid::from_u128(7));
        registry.schema(&guid).await.unwrap();
        registry.schema(&guid).await.unwrap();
        let guids = "GET /schemas/guids/00000000-0000-0000-0000-000000000007?deleted=true HTTP/1.1";
        let line = "GET /subjects/line/versions/1 HTTP/1.1";
        assert_eq!(*asked.lock().unwrap(), [guids, line]);
    });
}

#[test]
fn registering_gives_the_id_or_says_why_not() {
    let outcome = |answer| {
        block_on(async {
            let (registry, _) = serve(vec![("POST", vec![answer])]).await;
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
