//! Whether a connection lives. Invariant: it is given up where for a while nobody waited for us and no byte left: it asks
//! for nothing, or does not take what it asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// For so long nothing may happen. HTTP/1.1 closes an idle connection sooner by itself; HTTP/2 never does.
const QUIET: Duration = Duration::from_secs(10);

/// When something last happened on one connection.
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds from `begun` to the last beat.
    last: AtomicU64,
    /// Requests that are being worked on.
    working: AtomicUsize,
    /// Whether an answer that nothing can follow has broken off.
    is_broken: AtomicBool,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            working: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Ends when the connection is to be given up.
    pub(super) async fn stopped(&self) {
        loop {
            let quiet = self.quiet();
            if quiet >= QUIET {
                return;
            }
            tokio::time::sleep(QUIET - quiet).await;
        }
    }

    fn quiet(&self) -> Duration {
        if self.working.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }

    fn beat(&self) {
        self.last.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// From now on a request is worked on, until what this gives is dropped.
    pub(super) fn work(self: &Arc<Self>) -> Work {
        self.working.fetch_add(1, Ordering::Relaxed);
        Work(Arc::clone(self))
    }
}

/// A request that is being worked on.
pub(super) struct Work(Arc<Pulse>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.beat();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that beats with every byte that leaves.
pub(super) struct Beating {
    socket: TcpStream,
    pulse: Arc<Pulse>,
    /// Whether its peer takes nothing at the moment.
    is_blocked: bool,
}

impl Beating {
    pub(super) fn new(socket: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { socket, pulse, is_blocked: false }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_blocked = written.is_pending();
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.pulse.beat();
        }
        written
    }
}

impl Drop for Beating {
    /// What a peer has not taken, the system would offer it for as long as it answers, long after we have left it.
    fn drop(&mut self) {
        if self.is_blocked || self.pulse.is_broken.load(Ordering::Relaxed) {
            self.socket.set_zero_linger().ok();
        }
    }
}

impl AsyncRead for Beating {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Beating {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// An answer's body: while it waits for what it is made of, the request is worked on; while it waits to be taken, it is not.
pub(super) struct Answering {
    body: Body,
    pulse: Arc<Pulse>,
    work: Option<Work>,
    /// Whether the connection ends with it where it breaks off.
    is_last: bool,
}

impl Answering {
    pub(super) fn new(body: Body, pulse: Arc<Pulse>, version: Version) -> Self {
        Self { body, pulse, work: None, is_last: version < Version::HTTP_2 }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled.is_pending() {
            true if self.work.is_none() => self.work = Some(self.pulse.work()),
            true => {}
            false => self.work = None,
        }
        if self.is_last && matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.pulse.is_broken.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
