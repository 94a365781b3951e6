//! The real binary, running. It never outlives its test.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{PATIENCE, eventually};

pub struct Vitrina {
    process: Child,
    stderr: Arc<Mutex<String>>,
    listen: SocketAddr,
    admin_listen: SocketAddr,
    client: reqwest::Client,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// A JSON string where the body is not JSON.
    pub body: Value,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

impl Vitrina {
    pub fn start(mut command: Command, listen: SocketAddr, admin_listen: SocketAddr) -> Self {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let stderr = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&stderr);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *seen.lock().unwrap() += &format!("{line}\n");
            }
        });
        Self { process, stderr, listen, admin_listen, client: reqwest::Client::new() }
    }

    /// Waits until the instance says that it can do its job.
    pub async fn ready(&self) {
        eventually(PATIENCE, async || match self.try_get(self.listen, "/readyz").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(format!("{error}; it wrote: {}", self.stderr())),
        })
        .await;
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(self.listen, path).await.unwrap()
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("http://{}{path}", self.listen));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send().await.unwrap()).await.unwrap()
    }

    pub async fn get_admin(&self, path: &str) -> Answer {
        self.try_get(self.admin_listen, path).await.unwrap()
    }

    pub async fn post_admin(&self, path: &str, body: &str) -> Answer {
        let url = format!("http://{}{path}", self.admin_listen);
        let sent = self.client.post(url).body(body.to_owned()).send().await;
        answer(sent.unwrap()).await.unwrap()
    }

    /// Waits until a GET answers 200 with exactly this `data`.
    pub async fn eventually(&self, path: &str, data: &Value) -> Answer {
        eventually(PATIENCE, async || match self.try_get(self.listen, path).await {
            Ok(answer) if answer.status == 200 && answer.body["data"] == *data => Ok(answer),
            Ok(answer) => Err(format!("{answer} instead of {data}")),
            Err(error) => Err(format!("{error}; it wrote: {}", self.stderr())),
        })
        .await
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Freezes it, as a machine does that swaps or is being moved.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks it to read its definitions again.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Bytes of memory that it holds at the moment.
    pub fn resident(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Asks it to end, as an operator does, and waits until it has.
    pub async fn terminate(self) -> ExitStatus {
        self.terminate_within(PATIENCE).await
    }

    pub async fn terminate_within(mut self, deadline: Duration) -> ExitStatus {
        self.signal("-TERM");
        eventually(deadline, async || self.process.try_wait().unwrap().ok_or("it still runs")).await
    }

    async fn try_get(&self, listen: SocketAddr, path: &str) -> reqwest::Result<Answer> {
        answer(self.client.get(format!("http://{listen}{path}")).send().await?).await
    }
}

async fn answer(response: reqwest::Response) -> reqwest::Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, headers, body })
}

impl Drop for Vitrina {
    fn drop(&mut self) {
        // Either may fail only because it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
