//! Standard output: who stops reading early, as `head` does, ends nothing; an answer that cannot be written is a failure.

use std::io::{ErrorKind, Write as _};

use crate::failure::Failure;

/// Writes `text` as a line, or as lines.
///
/// # Errors
/// Standard output takes no more, as on a full disk.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::No(format!("the answer cannot be written to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes `answer` as JSON.
///
/// # Errors
/// Those of [`say`].
pub(crate) fn say_json(answer: &impl serde::Serialize) -> Result<(), Failure> {
    say(&serde_json::to_string_pretty(answer)?)
}
