//! Definitions that change while the service runs, on SIGHUP, or by themselves where they are watched. The texts are compared,
//! not the files' times: that holds on every file system, and a file that was only touched has not changed. A file that is
//! being saved is left alone until it is quiet.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use vitrina_projectors::Definitions;

use crate::config::Config;
use crate::definitions::Texts;
use crate::failure::Failure;

const PACE: Duration = Duration::from_millis(250);
/// How long nothing may change before what is there is taken …
const QUIET: Duration = Duration::from_millis(500);
/// … and where a file is missing: editors take one away before they put the new one there.
const GONE: Duration = Duration::from_secs(5);

/// The definitions' files, as they were taken last.
pub(crate) struct Changes {
    config: Config,
    watch: bool,
    hangup: Signal,
    taken: Option<Texts>,
}

impl Changes {
    /// From now on SIGHUP ends the process no more.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub(crate) fn new(config: &Config, watch: bool) -> Result<Self, Failure> {
        let (config, hangup) = (config.clone(), signal(SignalKind::hangup())?);
        Ok(Self { taken: Texts::read(&config).ok(), config, watch, hangup })
    }

    /// Waits until the files say something else, or until they are asked for; what they say.
    pub(crate) async fn next(&mut self) -> Definitions {
        let mut seen: Option<(Texts, Instant)> = None;
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                () = tokio::time::sleep(PACE), if self.watch => false,
            };
            let texts = match self.read().await {
                Ok(texts) => texts,
                Err(why) => {
                    if asked {
                        tracing::error!("the definitions stay as they are: {why}");
                    }
                    continue;
                }
            };
            if !asked {
                if self.taken.as_ref() == Some(&texts) {
                    seen = None;
                    continue;
                }
                let since = match seen.take() {
                    Some((same, since)) if same == texts => since,
                    _ => Instant::now(),
                };
                let missing = self.taken.as_ref().is_some_and(|taken| taken.has_more_than(&texts));
                if since.elapsed() < if missing { GONE } else { QUIET } {
                    seen = Some((texts, since));
                    continue;
                }
            }
            tracing::info!(asked, "the definitions are read again");
            self.taken = Some(texts.clone());
            return texts.load();
        }
    }

    async fn read(&self) -> Result<Texts, String> {
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || Texts::read(&config)).await;
        let read = read.map_err(|error| error.to_string())?;
        read.map_err(|(Failure::No(why) | Failure::Usage(why))| why)
    }
}
