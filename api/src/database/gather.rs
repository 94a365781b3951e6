//! Questions of one kind that come at the same time share a statement. Invariant: whoever asks gets the answer to its own
//! question, and who goes away meanwhile disturbs nobody.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Statements under way at a time. Meanwhile, the next one gathers its questions; who asks alone waits for nobody.
const STATEMENTS: usize = 2;
/// Questions of one statement.
const QUESTIONS: usize = 64;

/// Where questions of one kind meet. A clone is another one.
pub(crate) struct Gather<Q, A>(Arc<Mutex<Queue<Q, A>>>);

struct Queue<Q, A> {
    waiting: Vec<(Q, oneshot::Sender<A>)>,
    statements: usize,
}

/// One of the statements, asked again and again for as long as somebody waits.
struct Turn<Q, A> {
    queue: Arc<Mutex<Queue<Q, A>>>,
    is_over: bool,
}

impl<Q: Send + 'static, A: Send + 'static> Gather<Q, A> {
    /// The answer to a question, among those that `put` gives to several, in their order. None where it has panicked.
    pub(crate) async fn ask<P, F>(&self, question: Q, put: P) -> Option<A>
    where
        P: Fn(Vec<Q>) -> F + Send + 'static,
        F: Future<Output = Vec<A>> + Send,
    {
        let (sender, answer) = oneshot::channel();
        if let Some(mut turn) = self.join(question, sender) {
            // By a task of its own, for whoever asks may go away while others wait for the same statement.
            tokio::spawn(async move {
                while let Some((questions, senders)) = turn.take() {
                    for (sender, answer) in senders.into_iter().zip(put(questions).await) {
                        // Who has gone away does not hear it.
                        sender.send(answer).ok();
                    }
                }
            });
        }
        answer.await.ok()
    }

    fn join(&self, question: Q, sender: oneshot::Sender<A>) -> Option<Turn<Q, A>> {
        let mut queue = lock(&self.0);
        queue.waiting.push((question, sender));
        let begins = queue.statements < STATEMENTS;
        queue.statements += usize::from(begins);
        begins.then(|| Turn { queue: self.0.clone(), is_over: false })
    }
}

impl<Q, A> Turn<Q, A> {
    /// The next questions. Where there are none the turn is over, and whoever asks next begins another one.
    fn take(&mut self) -> Option<(Vec<Q>, Vec<oneshot::Sender<A>>)> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            queue.statements -= 1;
            self.is_over = true;
            return None;
        }
        let most = queue.waiting.len().min(QUESTIONS);
        let rest = queue.waiting.split_off(most);
        Some(mem::replace(&mut queue.waiting, rest).into_iter().unzip())
    }
}

/// A panic must not leave anybody waiting for it.
impl<Q, A> Drop for Turn<Q, A> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = lock(&self.queue);
            queue.statements -= 1;
            queue.waiting.clear();
        }
    }
}

impl<Q, A> Default for Gather<Q, A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { waiting: Vec::new(), statements: 0 })))
    }
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<Q, A> std::fmt::Debug for Gather<Q, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gather")
    }
}

fn lock<Q, A>(queue: &Mutex<Queue<Q, A>>) -> MutexGuard<'_, Queue<Q, A>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;

    use super::*;

    /// Asks for the numbers below `count` at once; each statement waits for a permit, and answers a number with its square.
    fn ask(
        gather: &Arc<Gather<usize, usize>>,
        count: usize,
        permits: &Arc<Semaphore>,
        statements: &Arc<AtomicUsize>,
    ) -> JoinSet<(usize, Option<usize>)> {
        let mut asked = JoinSet::new();
        for number in 0..count {
            let (gather, permits, statements) =
                (gather.clone(), permits.clone(), statements.clone());
            asked.spawn(async move {
                let put = move |numbers: Vec<usize>| {
                    let (permits, statements) = (permits.clone(), statements.clone());
                    async move {
                        statements.fetch_add(1, Ordering::Relaxed);
                        permits.acquire().await.unwrap().forget();
                        numbers.into_iter().map(|number| number * number).collect()
                    }
                };
                (number, gather.ask(number, put).await)
            });
        }
        asked
    }

    #[tokio::test]
    async fn everybody_gets_its_own_answer_by_few_statements() {
        let (gather, statements) = (Arc::default(), Arc::default());
        let permits = Arc::new(Semaphore::new(0));
        let mut asked = ask(&gather, 1000, &permits, &statements);
        // Some go away while they wait.
        let mut gone = ask(&gather, 50, &permits, &statements);
        tokio::task::yield_now().await;
        gone.abort_all();
        while gone.join_next().await.is_some() {}
        permits.add_permits(1000);
        while let Some(answered) = asked.join_next().await {
            let (number, answer) = answered.unwrap();
            assert_eq!(answer, Some(number * number));
        }
        let statements = statements.load(Ordering::Relaxed);
        assert!(statements <= 2 + 1050 / QUESTIONS + 1, "{statements}");
    }

    #[tokio::test]
    async fn a_panic_leaves_nobody_waiting() {
        let gather = Gather::<usize, usize>::default();
        let put = |numbers: Vec<usize>| async move { panic!("{}", numbers.len()) };
        assert_eq!(gather.ask(1, put).await, None);
        assert_eq!(gather.ask(2, |numbers| async move { numbers }).await, Some(2));
    }
}
