//! Messages on their way. There is room for a bounded number; the oldest makes room for the newest.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::watch::Message;

/// More than a large service's models, all of them stopping at once.
const ROOM: usize = 200;

#[derive(Default)]
pub(super) struct Queue {
    messages: Mutex<VecDeque<Message>>,
    came: Notify,
}

impl Queue {
    /// The oldest message, where it had to go.
    pub(super) fn push(&self, message: Message) -> Option<Message> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = if messages.len() >= ROOM { messages.pop_front() } else { None };
        messages.push_back(message);
        self.came.notify_one();
        dropped
    }

    /// The oldest message; waits for one.
    pub(super) async fn next(&self) -> Message {
        loop {
            let oldest = self.messages.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match oldest {
                Some(message) => return message,
                None => self.came.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let queue = Queue::default();
        let message = |number: usize| Message { model: number.to_string(), ..Message::default() };
        let dropped: Vec<_> =
            (0..ROOM + 2).filter_map(|number| queue.push(message(number))).collect();
        assert_eq!(dropped, [message(0), message(1)]);
        for number in 2..ROOM + 2 {
            assert_eq!(queue.next().await, message(number));
        }
    }
}
