//! The webhook: tells one address when a model gets into trouble and when it goes on. It only looks at the board, so
//! whatever becomes of a message, no model waits for it.

mod queue;
mod sender;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::HeaderMap;
use tokio_util::sync::CancellationToken;
use vitrina_projectors::Board;

use queue::Queue;
use sender::Sender;
use watch::Watch;

/// How often the board is looked at.
const PACE: Duration = Duration::from_secs(1);

/// Where messages go. Not `Debug`: address and headers may hold secrets.
#[derive(Clone)]
pub(crate) struct WebhookSettings {
    pub(crate) url: String,
    /// For one attempt.
    pub(crate) timeout: Duration,
    pub(crate) headers: HeaderMap,
}

/// Watches the board and sends until `shutdown`.
///
/// # Errors
/// The client cannot be made, as where the system's certificates cannot be read.
pub(crate) fn start(
    settings: WebhookSettings,
    board: Board,
    instance: String,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let sender = Sender::new(settings)?;
    let queue = Arc::new(Queue::default());
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(sender.run(queue.clone())));
    tokio::spawn(shutdown.run_until_cancelled_owned(async move {
        let mut watch = Watch::new(instance);
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            for message in watch.look(&board.standings(), Instant::now(), SystemTime::now()) {
                if let Some(dropped) = queue.push(message) {
                    let (model, event) = (&dropped.model, dropped.event);
                    tracing::warn!(
                        model,
                        event,
                        "the webhook takes no messages: its oldest one is dropped"
                    );
                }
            }
        }
    }));
    Ok(())
}
