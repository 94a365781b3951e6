//! Readers, each on a connection of its own, who ask again as soon as they are answered; and what can be answered at most,
//! by a handler that has nothing to do.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use rand::Rng as _;
use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// As `placed_at` begins in the table that is read.
const BEGIN: Duration = Duration::from_secs(1_700_000_000);

#[derive(clap::Args, Clone)]
pub struct Arguments {
    #[arg(long)]
    address: SocketAddr,
    /// `{n}` in it is a number below `--most`, anew each time; `{time}` so many seconds after the table's first one.
    #[arg(long)]
    path: String,
    #[arg(long, default_value_t = 1)]
    most: u64,
    /// Sends the tag of a first answer, so that all others are 304.
    #[arg(long)]
    unchanged: bool,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

/// Reads, and prints the rate and what half and 99 of 100 answers took at most.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut tag = String::new();
    if arguments.unchanged {
        let mut reader = Reader::connect(&arguments).await?;
        reader.ask("", 200).await?;
        tag = reader.tag().context("the first answer has no ETag")?;
    }
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let readers: Vec<_> = (0..arguments.connections)
        .map(|_| tokio::spawn(read(arguments.clone(), tag.clone(), end)))
        .collect();
    let mut took = Vec::new();
    for reader in readers {
        took.extend(reader.await??);
    }
    took.sort_unstable();
    let share = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = took.len() as f64 / arguments.seconds;
    println!("rate {rate:.0} p50_ms {:.3} p99_ms {:.3}", share(0.5), share(0.99));
    Ok(())
}

async fn read(arguments: Arguments, tag: String, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut reader = Reader::connect(&arguments).await?;
    let (header, status) = match &*tag {
        "" => (String::new(), 200),
        tag => (format!("if-none-match: {tag}\r\n"), 304),
    };
    let mut took = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        reader.ask(&header, status).await?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

struct Reader {
    stream: TcpStream,
    path: String,
    most: u64,
    random: SmallRng,
    answer: Vec<u8>,
}

impl Reader {
    async fn connect(arguments: &Arguments) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(arguments.address).await?;
        stream.set_nodelay(true)?;
        let random = SmallRng::seed_from_u64(rand::rng().next_u64());
        let (path, most) = (arguments.path.clone(), arguments.most);
        Ok(Self { stream, path, most, random, answer: Vec::new() })
    }

    /// Asks once, and reads the answer to its end.
    async fn ask(&mut self, header: &str, status: u16) -> anyhow::Result<()> {
        let number = self.random.random_range(0..self.most);
        let time = UNIX_EPOCH + BEGIN + Duration::from_secs(number);
        let time = humantime::format_rfc3339_seconds(time).to_string();
        let path = self.path.replace("{n}", &number.to_string()).replace("{time}", &time);
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{header}\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the connection was closed: {}", String::from_utf8_lossy(&self.answer));
            }
            let Some(head) = self.answer.windows(4).position(|end| end == b"\r\n\r\n") else {
                continue;
            };
            let told = String::from_utf8_lossy(&self.answer[..head]).to_ascii_lowercase();
            if !told.starts_with(&format!("http/1.1 {status}")) {
                bail!("{path} was answered: {}", String::from_utf8_lossy(&self.answer));
            }
            let length = told.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = if status == 304 { 0 } else { length.unwrap_or_default().parse()? };
            if self.answer.len() >= head + 4 + length {
                return Ok(());
            }
        }
    }

    fn tag(&self) -> Option<String> {
        let answer = String::from_utf8_lossy(&self.answer);
        Some(answer.lines().find_map(|line| line.strip_prefix("etag: "))?.to_owned())
    }
}

/// Serves a row's JSON that is always the same, until it is ended; prints where.
pub async fn serve_static() -> anyhow::Result<()> {
    let row = format!("{{\"data\":{{\"note\":\"{}\"}}}}", "as long as an order is ".repeat(25));
    let handler = move || {
        let row = row.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], row) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", get(handler))).await?;
    Ok(())
}
