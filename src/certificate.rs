//! The listeners' certificate while the service runs. Invariant: whatever becomes of its files, the listeners go on.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vitrina_api::Tls;

use crate::config::Config;
use crate::failure::Failure;

/// How often the files are read without being asked: whoever renews certificates need not know this process.
const PACE: Duration = Duration::from_secs(3600);
/// How often one and the same warning is given.
const AGAIN: Duration = Duration::from_secs(86_400);

/// The certificate, where one is set.
///
/// # Errors
/// It cannot be shown.
pub(crate) fn load(config: &Config) -> Result<Option<Arc<Tls>>, Failure> {
    let Some((cert, key)) = config.tls.clone() else { return Ok(None) };
    let tls = Tls::load(cert, key).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Some(Arc::new(tls)))
}

/// Reads the files again on SIGHUP and once an hour, and speaks of the dates in time.
///
/// # Errors
/// The signal cannot be listened to.
pub(crate) fn follow(
    tls: Arc<Tls>,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut clock = tokio::time::interval(PACE);
    Ok(async move {
        let mut warned: Option<Instant> = None;
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = clock.tick() => false,
                () = shutdown.cancelled() => return,
            };
            match tls.reload() {
                Ok(true) => tracing::info!("the listeners show the new certificate from now on"),
                Ok(false) if asked => tracing::info!("the certificate's files have not changed"),
                Ok(false) => {}
                Err(error) => tracing::error!("the listeners show the old certificate on: {error}"),
            }
            let warning = tls.look(SystemTime::now());
            if let Some(warning) = warning
                && (asked || warned.is_none_or(|at| at.elapsed() >= AGAIN))
            {
                tracing::warn!("{warning}");
                warned = Some(Instant::now());
            }
        }
    })
}
