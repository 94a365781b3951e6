//! The handle of a running consumer: batches come out, commits and claims to renew go in. Only the poll thread touches
//! librdkafka's consumer, and dropping it can block, so the thread does that too.

mod bounds;
mod broker;
mod end;
mod joining;
mod lane;
mod mirror;
mod ownership;
mod poll;
mod rebalance;
mod subscription;
mod timeline;
mod watchdog;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::{mpsc as tokio_mpsc, oneshot};

use crate::batch::Batch;
use crate::offset::{Epoch, Offset};
use crate::positions::{Positions, TopicPartition};
pub use bounds::Bounds;
pub use end::End;
pub use joining::offsets_of_group;
pub use ownership::Ownership;
use poll::{Command, Poll};
pub use subscription::Subscription;

pub struct Consumer {
    commands: mpsc::Sender<Command>,
    ended: oneshot::Receiver<End>,
    left: oneshot::Receiver<()>,
    pub ownership: Ownership,
}

impl Consumer {
    /// Starts the poll thread, and gives each lane's batches. When the batches end, [`Self::close`] says why. Must be
    /// called within a tokio runtime.
    pub fn start(
        subscription: Subscription,
        positions: Arc<dyn Positions>,
    ) -> (Self, Vec<tokio_mpsc::Receiver<Batch>>) {
        let (batch_senders, batches) =
            (0..subscription.lanes.max(1)).map(|_| tokio_mpsc::channel(1)).unzip();
        let (commands, command_receiver) = mpsc::channel();
        let (end_sender, ended) = oneshot::channel();
        let (left_sender, left) = oneshot::channel();
        let ownership = Ownership::default();
        let owned = ownership.clone();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            match Poll::new(
                subscription,
                positions,
                owned,
                batch_senders,
                command_receiver,
                runtime,
            ) {
                Ok(poll) => poll.run(end_sender),
                Err(end) => drop(end_sender.send(end)),
            }
            let _ = left_sender.send(());
        });
        (Self { commands, ended, left, ownership }, batches)
    }

    /// Mirrors positions that Postgres holds to the group's offsets: soon, best effort.
    pub fn mirror(&self, positions: Vec<(TopicPartition, Offset)>) {
        let _ = self.commands.send(Command::Mirror(positions));
    }

    /// Claims partitions again whose claim, of this epoch, turned out not to be the newest, if the group still assigns
    /// them here.
    pub fn reclaim(&self, fenced: Vec<(TopicPartition, Epoch)>) {
        let _ = self.commands.send(Command::Reclaim(fenced));
    }

    /// Mirrors what is left, leaves the group, and says why the consumer ended. After `patience` it is left behind.
    pub async fn close(self, patience: Duration) -> End {
        let _ = self.commands.send(Command::Close);
        let end = tokio::time::timeout(patience, self.ended).await;
        let end = end
            .unwrap_or(Ok(End::Closed))
            .unwrap_or_else(|_| End::World("the poll thread died".into()));
        if tokio::time::timeout(patience, self.left).await.is_err() {
            tracing::warn!("the consumer did not leave its group in time");
        }
        end
    }
}
