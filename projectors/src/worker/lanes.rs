//! The workers of one model on this instance: one consumer, and a worker for each of its lanes. More than one lane is only
//! for models whose events of different record keys never touch the same row. When one ends, all do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vitrina_ingest::{Consumer, End, Subscription};

use crate::board::Board;
use crate::commit::writer::Writer;
use crate::worker::claims::Claims;
use crate::worker::decoding::Stage;
use crate::worker::{Shared, Worker};

/// How long a consumer may take to leave its group.
const LEAVE: Duration = Duration::from_secs(8);

/// Consumes with one worker for each writer until the shutdown, or until the consumer or a batch says why not.
pub(crate) async fn consume(
    subscription: Subscription,
    claims: Arc<Claims>,
    board: Board,
    shared: Shared,
    lanes: Vec<(Writer, Stage)>,
    shutdown: &CancellationToken,
) -> End {
    let (consumer, batches) = Consumer::start(subscription, claims.clone());
    let consumer = Arc::new(consumer);
    board.consuming(&claims.label, claims.id.number, consumer.ownership.clone());
    let stop = shutdown.child_token();
    let mut workers = JoinSet::new();
    for ((writer, stage), batches) in lanes.into_iter().zip(batches) {
        let worker = Worker::new(
            consumer.clone(),
            claims.clone(),
            writer,
            board.clone(),
            shared.clone(),
            stop.clone(),
        );
        workers.spawn(async move {
            let (sender, decoded) = mpsc::channel(1);
            // As many as are under way: decoding, waiting, being written.
            let (written, spare) = mpsc::channel(3);
            let decoding = tokio::spawn(stage.run(batches, spare, sender));
            let stopped = worker.run(decoded, written).await;
            match decoding.await {
                Err(error) if error.is_panic() => {
                    Some(End::Stop(format!("the decoder failed: {error}; please report it")))
                }
                _ => stopped,
            }
        });
    }
    let mut stopped = None;
    while let Some(ended) = workers.join_next().await {
        stop.cancel();
        let failed = |error| Some(End::Stop(format!("a worker failed: {error}; please report it")));
        stopped = stopped.or(ended.unwrap_or_else(failed));
    }
    // The workers were the only others to hold it.
    let Some(consumer) = Arc::into_inner(consumer) else { return stopped.unwrap_or(End::Closed) };
    let ended = consumer.close(LEAVE).await;
    stopped.unwrap_or(ended)
}
