//! One connection. Invariant: whatever its peer does or leaves undone, it ends: a handshake and a request's head have their
//! time, and who neither asks nor takes is left.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, header};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::guard;
use super::pulse::{Answering, Beating, Pulse};
use super::tls::HTTP2;

/// A handshake must be over within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// A request's head must be there within this time; an idle connection of HTTP/1.1 is closed after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Above what the router accepts, so that it is the router that refuses, with a problem.
const READ_BUFFER: usize = 128 * 1024;

/// Requests of one HTTP/2 connection at a time: as many as browsers send before they wait.
const MAX_STREAMS: u32 = 100;
/// Bytes of a request's header list, as HTTP/2 counts it (32 more for each header): above what the router accepts.
const MAX_HEADER_LIST: u32 = READ_BUFFER as u32;
/// Requests that were taken back before they were looked at; one more, and the connection ends (CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// Requests that end in an error of the client's making; the same for those (CVE-2025-8671).
const MAX_ERRORS: usize = 100;
/// Bytes of one answer that are kept for a client which does not take them.
const SEND_BUFFER: usize = 64 * 1024;
/// What begins every connection that speaks TLS.
const HANDSHAKE_RECORD: u8 = 22;

type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves one connection to its end; until it is open, `shutdown` ends it at once.
pub(super) async fn serve(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    shutdown: &CancellationToken,
    watcher: Watcher,
) -> Ended {
    let (pulse, peer) = (Pulse::new(), socket.peer_addr()?);
    let opening = tokio::time::timeout(HANDSHAKE_TIMEOUT, open(socket, acceptor, &pulse));
    let Some(opened) = shutdown.run_until_cancelled(opening).await else { return Ok(()) };
    let (opened, inner, beating) = (
        opened??,
        TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router)),
        pulse.clone(),
    );
    let service = service_fn(move |request: Request<Incoming>| {
        let (pulse, work, version) = (beating.clone(), beating.work(), request.version());
        let answer = inner.call(named(request));
        async move {
            let answer = answer.await?;
            drop(work);
            Ok::<_, Infallible>(answer.map(|body| Answering::new(body, pulse, version)))
        }
    });
    let (http1, http2) = (http1(), http2());
    let served = async {
        match opened {
            Opened::Plain(socket) => {
                watcher.watch(http1.serve_connection(TokioIo::new(socket), service)).await
            }
            Opened::Http1(stream) => {
                watcher.watch(http1.serve_connection(TokioIo::new(stream), service)).await
            }
            Opened::Http2(stream) => {
                watcher.watch(http2.serve_connection(TokioIo::new(stream), service)).await
            }
            Opened::NoTls(socket) => {
                let refusal = service_fn(guard::tls_wanted);
                watcher.watch(http1.serve_connection(TokioIo::new(socket), refusal)).await
            }
        }
    };
    tokio::select! {
        ended = served => Ok(ended?),
        () = pulse.stopped() => Err("its peer was silent for too long".into()),
    }
}

/// A connection whose client has said how it speaks.
enum Opened {
    Plain(Beating),
    Http1(Box<TlsStream<Beating>>),
    Http2(Box<TlsStream<Beating>>),
    /// Plain HTTP, where TLS is wanted.
    NoTls(Beating),
}

async fn open(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    pulse: &Arc<Pulse>,
) -> io::Result<Opened> {
    let Some(acceptor) = acceptor else {
        return Ok(Opened::Plain(Beating::new(socket, pulse.clone())));
    };
    let mut first = [0];
    let read = socket.peek(&mut first).await?;
    let socket = Beating::new(socket, pulse.clone());
    if read == 1 && first[0] != HANDSHAKE_RECORD {
        return Ok(Opened::NoTls(socket));
    }
    let stream = Box::new(acceptor.accept(socket).await?);
    Ok(match stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
        true => Opened::Http2(stream),
        false => Opened::Http1(stream),
    })
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(READ_BUFFER);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// HTTP/2 names the host in the address, and an address may be whole in HTTP/1.1, too: whoever asks for the host finds it
/// where HTTP/1.1 has it.
fn named(mut request: Request<Incoming>) -> Request<Incoming> {
    let host = request.uri().authority().map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    request
}
