//! The way in and the way out. Invariant: every answer takes it, so each one is measured, bounded, and a problem where it is
//! not a success. What it consists of is one layer for all requests and one for readers: each layer of axum's boxes the
//! request, the answer and what comes between.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument as _;

use super::guard;
use super::measure::Measured;
use super::rate::Rates;
use crate::access::{Authority, Caller};
use crate::problem::{Kind, Problem};

/// What all requests pass.
pub(crate) async fn pass(request: Request, next: Next) -> Response {
    let (measured, span) = (Measured::begin(&request), guard::span(&request));
    let answered = async {
        match guard::bounds(&request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let answered = AssertUnwindSafe(answered).catch_unwind();
    let response = async { answered.await.unwrap_or_else(guard::panicked) }.instrument(span).await;
    measured.end(&response);
    response
}

/// What stands before the views.
#[derive(Clone)]
pub(crate) struct Readers {
    /// None: whoever asks may read all.
    pub(crate) authority: Option<Arc<Authority>>,
    pub(crate) admission: Arc<Semaphore>,
    pub(crate) rates: Option<Arc<Rates>>,
}

/// What readers pass, too.
pub(crate) async fn read(
    State(readers): State<Readers>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(authority) = &readers.authority else {
        request.extensions_mut().insert(Caller::Anyone);
        return readers.admit(request, next).await.into_response();
    };
    // Nobody has a place yet: who waits for an issuer keeps nobody else waiting.
    let mut response = match authority.reader(request.headers()).await {
        Ok(reader) => {
            request.extensions_mut().insert(Caller::Reader(reader));
            readers.admit(request, next).await.into_response()
        }
        Err(refusal) => match readers.rates.as_ref().map(|rates| rates.take_failure(&request)) {
            Some(Err(too_many)) => too_many.into_response(),
            _ => refusal.into_response(),
        },
    };
    // Whatever lies between here and the reader: another credential, another answer.
    let vary = HeaderValue::from_static("authorization, x-api-key");
    response.headers_mut().append(header::VARY, vary);
    response
}

/// A place among the readers, or none.
pub(crate) fn place(admission: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    admission.try_acquire().map_err(|_| {
        let detail = "This instance answers as many requests as it can; ask again in a second.";
        Problem::new(Kind::Overloaded, detail)
    })
}

impl Readers {
    /// Lets in as many requests at a time as there are permits, of one caller as many as the settings say, and sends the rest
    /// away at once.
    async fn admit(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let _permit = place(&self.admission)?;
        if let Some(rates) = &self.rates {
            rates.take_read(&request)?;
        }
        Ok(next.run(request).await)
    }
}
