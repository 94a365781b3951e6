//! What the demo waits for, said to who waits with it: on a terminal at once and in place, elsewhere only where it takes long.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::pin::pin;
use std::time::Duration;

/// How long who watches, or who reads a log, is told nothing.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Takes a line of a terminal away.
pub(super) const CLEARED: &str = "\r\x1b[2K";

pub(super) async fn saying<T>(what: &str, work: impl Future<Output = T>) -> T {
    let is_terminal = stderr().is_terminal();
    let (watcher, log) = PATIENCE;
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(if is_terminal { watcher } else { log }, &mut work).await
    {
        return done;
    }
    // Whether anybody hears it changes nothing.
    let say = |text: String| drop(stderr().lock().write_all(text.as_bytes()));
    say(format!("{what} …{}", if is_terminal { "" } else { "\n" }));
    let done = work.await;
    if is_terminal {
        say(CLEARED.to_owned());
    }
    done
}
