//! What tools make of the OpenAPI document, over a real socket.

use std::path::Path;
use std::process::Command;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vitrina_api::serve;

use crate::stage::Stage;

const LEGS: u32 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn tools_find_what_the_document_says_and_nothing_else() {
    let mut stage = Stage::flight().await;
    stage
        .run(&format!(
            r#"INSERT INTO "flight@1".leg SELECT 'F3', n, 'LIS' FROM generate_series(4, {LEGS}) n"#
        ))
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, stage.router.clone(), None, shutdown.clone()));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/run");
    let met = tokio::task::spawn_blocking(move || {
        Command::new(script).args([url, LEGS.to_string()]).output().unwrap()
    });
    let met = met.await.unwrap();
    let (told, warned) =
        (String::from_utf8_lossy(&met.stdout), String::from_utf8_lossy(&met.stderr));
    assert!(met.status.success(), "{told}\n{warned}");
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}
