//! The accept loop, over real sockets.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use vitrina_api::serve;

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn half_sent_requests_are_cut_off_and_shutdown_lets_the_others_finish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
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
    let serving = tokio::spawn(serve(
        listener,
        Router::new().route("/", get(handler)),
        None,
        shutdown.clone(),
    ));

    let begun = Instant::now();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(!read_all(&mut half).await.contains("200"));
    assert!(!read_all(&mut silent).await.contains("200"));
    assert!((4..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());

    let mut whole = TcpStream::connect(address).await.unwrap();
    whole.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    entered.cancelled().await;
    shutdown.cancel();
    assert!(read_all(&mut whole).await.ends_with("finished"));
    tokio::time::timeout(Duration::from_secs(1), serving).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
