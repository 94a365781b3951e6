//! The accept loop. Invariant: it waits for no connection, and none outlives the shutdown's bound.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// A pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// As many failures in a row mean that the listener is gone.
const ACCEPT_FAILURES: u32 = 100;
/// No memory, no file descriptor in the system, none in the process, no buffer: the listener is as good as ever once others
/// have ended.
const EXHAUSTED: [i32; 4] = [12, 23, 24, 105];
/// How often that is said.
const SAID_AGAIN: Duration = Duration::from_secs(60);

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
    let mut failures = Failures::default();
    while let Some(accepted) =
        shutdown.run_until_cancelled(accept(&listener, &connections, &mut failures)).await
    {
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
    failures: &mut Failures,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                failures.in_a_row = 0;
                stream.set_nodelay(true).ok();
                return Ok((stream, permit));
            }
            Err(error) => {
                if failures.another(error, Instant::now())? {
                    tracing::warn!(
                        "there is no room for another connection (file descriptors, memory): who comes waits until others have ended; raise the limit (ulimit -n) if that lasts"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections that could not be accepted.
#[derive(Default)]
struct Failures {
    in_a_row: u32,
    said: Option<Instant>,
}

impl Failures {
    /// Whether another one is to be spoken of.
    ///
    /// # Errors
    /// The listener is gone.
    fn another(&mut self, error: io::Error, now: Instant) -> io::Result<bool> {
        if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
            let is_news = self.said.is_none_or(|said| now.duration_since(said) >= SAID_AGAIN);
            self.said = if is_news { Some(now) } else { self.said };
            return Ok(is_news);
        }
        self.in_a_row += 1;
        tracing::debug!(%error, "a connection could not be accepted");
        if self.in_a_row > ACCEPT_FAILURES { Err(error) } else { Ok(false) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_has_no_room_waits_for_it_and_says_so_once_a_minute() {
        let (mut failures, begun) = (Failures::default(), Instant::now());
        let said = (0..6000).filter(|tenth| {
            let error = io::Error::from_raw_os_error(24);
            failures.another(error, begun + ACCEPT_PAUSE * *tenth).unwrap()
        });
        assert_eq!(said.count(), 10);
    }

    #[test]
    fn a_listener_that_is_gone_ends() {
        let mut failures = Failures::default();
        let mut another = || failures.another(io::Error::from_raw_os_error(9), Instant::now());
        assert!((0..ACCEPT_FAILURES).all(|_| another().is_ok_and(|news| !news)));
        assert_eq!(another().unwrap_err().raw_os_error(), Some(9));
    }
}
