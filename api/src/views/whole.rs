//! `limit=all`: a whole list, written while it is read. Invariant: all of it is one state of the database, and a body that
//! breaks off never looks whole.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Version;
use axum::response::Response;
use futures_util::stream;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use super::list::{Request, counted, estimate};
use crate::answer;
use crate::answer::refusal;
use crate::api::Api;
use crate::catalogue::{Failure, Freshness};
use crate::database::{DatabaseError, Rows, Snapshot, get, texts};
use crate::format::{Format, Shape};
use crate::problem::{Kind, Problem};
use crate::query::{Count, Page};

/// How long it may take in all: for as long, Postgres keeps every row version that anybody has replaced.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What goes to the body: a piece of it, or that there is no more.
type Piece = Option<Bytes>;

/// The list from its beginning; an answer only once the first rows are there.
pub(super) async fn answer(
    api: &Api,
    page: &Page<'_>,
    request: &Request,
) -> Result<Response, Failure> {
    if request.version < Version::HTTP_11 {
        let detail = "`limit=all` needs HTTP/1.1: before it, an answer that breaks off looks like one that has ended. A proxy in between may be what speaks HTTP/1.0 (nginx: `proxy_http_version 1.1`).";
        return Err(Problem::of(Kind::BadValue, "limit", detail, None::<String>).into());
    }
    let permit = api.whole_lists().try_acquire_owned().map_err(|_| {
        let detail = "As many whole lists are being read as this instance reads at a time; ask again in a second, or page by page.";
        Problem::new(Kind::Overloaded, detail)
    })?;
    let begun = Instant::now();
    let mut snapshot = api.database().snapshot(api.reader_patience() * 2).await?;
    let freshness = Freshness::read_in(&mut snapshot, page.view).await?;
    let Beginning { count, rows, first } = match begin(snapshot, page, request.count).await {
        Ok(beginning) => beginning,
        Err(error) => return Err(refusal::of_page(api.database(), page, error).await),
    };
    let count = match request.count {
        Count::Estimated => Some(estimate(api, page).await?),
        _ => count,
    };
    let Request { format, headers, .. } = request;
    let (format, shape, patience) = (*format, page.shape()?, api.reader_patience());
    let reading = Reading { rows, format, shape, patience, _permit: permit };
    let body = reading.begin(format.head(page.names()), first, begun + LIFETIME);
    let mut response =
        answer::found(format, body, page.view, &freshness, headers, &request.canonical());
    counted(&mut response, count);
    request.say_applied(&mut response);
    Ok(response)
}

/// What is known before anything is said.
struct Beginning {
    /// How many rows there are, where they are counted.
    count: Option<i64>,
    first: Vec<PgRow>,
    rows: Rows,
}

async fn begin(
    mut snapshot: Snapshot,
    page: &Page<'_>,
    count: Count,
) -> Result<Beginning, DatabaseError> {
    if !page.view.rows.is_all() {
        snapshot.first(page.trial()).await?;
    }
    let count = match count {
        Count::Exact => {
            snapshot.first(page.count()).await?.map(|row| get(&row, "count")).transpose()?
        }
        _ => None,
    };
    let mut rows = snapshot.rows(page.whole()).await?;
    Ok(Beginning { count, first: rows.next().await?, rows })
}

/// A list on its way to its reader.
struct Reading {
    rows: Rows,
    format: Format,
    shape: Shape,
    patience: Duration,
    _permit: OwnedSemaphorePermit,
}

/// Why a list ends before its end.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error("its reader went away")]
    Left,
    #[error("its reader took nothing of it for {0:?}")]
    Stalled(Duration),
    #[error("it was not read to its end within {LIFETIME:?}")]
    TooLong,
    #[error("{0}")]
    Database(#[from] DatabaseError),
}

impl Reading {
    /// The body. It is written by a task of its own, for a reader who stops reading asks for nothing, not even for the time.
    fn begin(self, head: String, first: Vec<PgRow>, deadline: Instant) -> Body {
        let (sender, receiver) = mpsc::channel(1);
        let write = async move {
            let written = timeout_at(deadline, self.write(head, first, &sender)).await;
            match written.unwrap_or(Err(BrokenOff::TooLong)) {
                Ok(()) => {}
                Err(left @ BrokenOff::Left) => tracing::debug!("a whole list was given up: {left}"),
                Err(why) => tracing::warn!("a whole list was broken off: {why}"),
            }
        };
        tokio::spawn(write.in_current_span());
        Body::from_stream(stream::unfold(receiver, piece))
    }

    async fn write(
        mut self,
        mut text: String,
        mut rows: Vec<PgRow>,
        sender: &mpsc::Sender<Piece>,
    ) -> Result<(), BrokenOff> {
        self.rows.take_time().await?;
        loop {
            for row in &rows {
                self.format.add(&self.shape, &texts(row, 0..row.len())?, &mut text);
            }
            let is_last = rows.is_empty();
            self.send(Some(Bytes::from(std::mem::take(&mut text))), sender).await?;
            if is_last {
                break;
            }
            rows = tokio::select! {
                () = sender.closed() => return Err(BrokenOff::Left),
                rows = self.rows.next() => rows?,
            };
        }
        self.send(None, sender).await?;
        self.rows.close().await;
        Ok(())
    }

    async fn send(&self, piece: Piece, sender: &mpsc::Sender<Piece>) -> Result<(), BrokenOff> {
        match timeout(self.patience, sender.send(piece)).await {
            Ok(sent) => sent.map_err(|_| BrokenOff::Left),
            Err(_) => Err(BrokenOff::Stalled(self.patience)),
        }
    }
}

/// The next piece of a body. Who was to send it and is gone without having said that it was the last one has broken off.
async fn piece(
    mut pieces: mpsc::Receiver<Piece>,
) -> Option<(Result<Bytes, &'static str>, mpsc::Receiver<Piece>)> {
    match pieces.recv().await {
        Some(Some(piece)) => Some((Ok(piece), pieces)),
        Some(None) => None,
        None => Some((Err("the list was broken off"), pieces)),
    }
}
