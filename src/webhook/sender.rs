//! Sends messages in their order, each until it is taken or refused for good. Neither the address nor a header is logged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use vitrina_projectors::{Backoff, Policy};

use super::WebhookSettings;
use super::queue::Queue;
use super::watch::Message;

const PAUSES: Policy = Policy::exponential(Duration::from_secs(1), Duration::from_secs(60));

pub(super) struct Sender {
    url: String,
    client: Client,
    pauses: Policy,
}

/// How an attempt ends when the message was not taken.
enum Undelivered {
    /// It may be taken later.
    Passing(String),
    /// The same message will never be.
    Lasting(StatusCode),
}

impl Sender {
    pub(super) fn new(settings: WebhookSettings) -> anyhow::Result<Self> {
        let client =
            Client::builder().timeout(settings.timeout).default_headers(settings.headers).build();
        let client = client
            .map_err(reqwest::Error::without_url)
            .context("webhook: no HTTP client can be made")?;
        Ok(Self { url: settings.url, client, pauses: PAUSES })
    }

    pub(super) async fn run(self, queue: Arc<Queue>) {
        loop {
            self.deliver(queue.next().await).await;
        }
    }

    async fn deliver(&self, message: Message) {
        let Message { model, event, .. } = &message;
        let mut backoff = Backoff::following(self.pauses);
        loop {
            match self.attempt(&message).await {
                Ok(()) => return,
                Err(Undelivered::Passing(why)) => {
                    tracing::warn!(model, event, "the webhook (webhook.url) is tried again: {why}");
                    backoff.wait().await;
                }
                Err(Undelivered::Lasting(status)) => {
                    tracing::error!(
                        model,
                        event,
                        "the webhook (webhook.url) refuses the message with {status}: see webhook.url and [webhook.headers]"
                    );
                    return;
                }
            }
        }
    }

    async fn attempt(&self, message: &Message) -> Result<(), Undelivered> {
        let sent = self.client.post(&self.url).json(message).send().await;
        let status = sent.map_err(|error| {
            Undelivered::Passing(format!("{:#}", anyhow::Error::new(error.without_url())))
        })?;
        match status.status() {
            status if status.is_success() => Ok(()),
            status if status.is_server_error() => Err(Undelivered::Passing(status.to_string())),
            status @ (StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS) => Err(Undelivered::Passing(status.to_string())),
            status => Err(Undelivered::Lasting(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Json;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use serde_json::{Value, json};

    use super::*;

    /// What it was sent, in the order of the attempts; the first two are answered 503, a message of `refused` 400.
    #[derive(Default)]
    struct Receiver {
        attempts: AtomicUsize,
        taken: Mutex<Vec<(String, Value)>>,
    }

    impl Receiver {
        fn take(&self, headers: &HeaderMap, message: Value) -> StatusCode {
            if self.attempts.fetch_add(1, Ordering::Relaxed) < 2 {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            if message["model"] == "refused" {
                return StatusCode::BAD_REQUEST;
            }
            let token = headers["authorization"].to_str().unwrap().to_owned();
            self.taken.lock().unwrap().push((token, message));
            StatusCode::NO_CONTENT
        }
    }

    #[tokio::test]
    async fn a_message_is_sent_until_it_is_taken_and_a_refused_one_holds_nobody_up() {
        let receiver = Arc::new(Receiver::default());
        let taking = receiver.clone();
        let route = post(async move |headers: HeaderMap, Json(body): Json<Value>| {
            taking.take(&headers, body)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(
            async move { axum::serve(listener, axum::Router::new().route("/", route)).await },
        );

        let headers =
            HeaderMap::from_iter([("authorization".parse().unwrap(), "Bearer t".parse().unwrap())]);
        let moment = Duration::from_millis(1);
        let settings = WebhookSettings { url, timeout: Duration::from_secs(60), headers };
        let sender = Sender {
            pauses: Policy::exponential(moment, moment),
            ..Sender::new(settings).unwrap()
        };
        for model in ["first", "refused", "second"] {
            sender.deliver(Message { model: model.to_owned(), ..Message::default() }).await;
        }
        let taken = receiver.taken.lock().unwrap();
        let models: Vec<&Value> = taken.iter().map(|(_, message)| &message["model"]).collect();
        assert_eq!(models, [&json!("first"), &json!("second")]);
        assert_eq!(taken[0].0, "Bearer t");
        assert_eq!(receiver.attempts.load(Ordering::Relaxed), 5);
    }
}
