//! The accept loop. Invariant: no connection lives on a half-sent request, and none outlives the shutdown's bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// A request's head must be there within this time; an idle connection is closed after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests under way may go on after the shutdown began.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 1024;
/// Above what the router accepts, so that it is the router that refuses, with a problem.
const READ_BUFFER: usize = 128 * 1024;
/// A pause after a failed accept, as when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// As many failures in a row mean that the listener is gone.
const ACCEPT_FAILURES: u32 = 100;

/// Serves until `shutdown`, then lets requests under way finish for up to ten seconds.
///
/// # Errors
/// When the listener has stopped accepting for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let aborted = CancellationToken::new();
    let _abort = aborted.clone().drop_guard();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &connections)).await {
        let (stream, permit) = accepted?;
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let aborted = aborted.clone();
        tokio::spawn(async move {
            // A connection's error is its peer's: it went away, or sent what is no HTTP.
            if let Some(Err(error)) = aborted.run_until_cancelled(connection).await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to shut down was over");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok();
                return Ok((stream, permit));
            }
            Err(error) if failures == ACCEPT_FAILURES => return Err(error),
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
