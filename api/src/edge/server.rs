//! The accept loop. Invariant: it waits for no connection, and none outlives the shutdown's bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::connection;
use super::tls::Tls;

/// How long requests under way may go on after the shutdown began.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// What comes on top waits, and so does everybody behind it: room for some thousands who say nothing. Each is some 15 kB.
const MAX_CONNECTIONS: usize = 4096;
/// A pause after a failed accept, as when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// As many failures in a row mean that the listener is gone.
const ACCEPT_FAILURES: u32 = 100;

/// Serves until `shutdown`, then lets requests under way finish for up to ten seconds. With `tls` only who speaks it is
/// served.
///
/// # Errors
/// When the listener has stopped accepting for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let aborted = CancellationToken::new();
    let _abort = aborted.clone().drop_guard();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &connections)).await {
        let (socket, permit) = accepted?;
        let (router, watcher) = (router.clone(), graceful.watcher());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        let (aborted, shutdown) = (aborted.clone(), shutdown.clone());
        tokio::spawn(async move {
            let served = connection::serve(socket, acceptor, router, &shutdown, watcher);
            // A connection's error is its peer's: it went away, or sent what is no HTTP.
            if let Some(Err(error)) = aborted.run_until_cancelled(served).await {
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
