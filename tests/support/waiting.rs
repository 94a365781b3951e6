//! Tests wait for what they want to see, never for a time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; only a test that fails takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Looks until there is something to return.
///
/// # Panics
/// When the time is up, with what was seen last.
pub async fn eventually<T, E: Display>(
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > deadline => {
                panic!("not within {deadline:?}; seen last: {seen}")
            }
            Err(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}
