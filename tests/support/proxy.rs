//! A network in the way of one service, which a test makes as bad as it likes: what passes is passed on unchanged, byte by
//! byte, and a connection that is lost is lost on both sides.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{PATIENCE, eventually};

/// What happens to connections, old and new ones, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Each piece takes so long, in either direction.
    Slow(Duration),
    /// Connections stay, new ones are taken, and nothing arrives until it is over.
    Frozen,
    /// Connections are closed, new ones at once.
    Cut,
    /// Somebody else answers: this, to whatever is asked, and hangs up.
    Answers(&'static str),
}

/// Cuts one connection, once, at something that the client says.
#[derive(Debug, Clone, Copy)]
pub struct Trap {
    /// Only connections that have said this before, or with it.
    pub known_by: &'static str,
    /// The words.
    pub at: &'static str,
    /// Whether they reach the server before the connection is cut; its answer is lost.
    pub arrives: bool,
}

#[derive(Debug, Clone, Copy)]
struct Net {
    weather: Weather,
    /// Connections with a number below this are half open: nothing passes, and neither side is told.
    silent_below: u64,
}

#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    target: SocketAddr,
    net: Arc<watch::Sender<Net>>,
    connections: Arc<AtomicU64>,
    traps: Arc<Mutex<VecDeque<Trap>>>,
    /// How many pieces pass from each client until its next one arrives whose answer is lost; and whether one has.
    short: Arc<Mutex<(Option<usize>, bool)>>,
}

impl Proxy {
    /// Stands before `target` (host:port) on a port of its own, as long as the test's runtime lives.
    pub async fn to(target: &str) -> Self {
        Self::at("127.0.0.1:0", target).await
    }

    pub async fn at(address: &str, target: &str) -> Self {
        // A test before this one may have left the address a moment ago.
        let listener = eventually(PATIENCE, async || TcpListener::bind(address).await).await;
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            target: target.parse().unwrap(),
            net: Arc::new(watch::Sender::new(Net { weather: Weather::Fair, silent_below: 0 })),
            connections: Arc::default(),
            traps: Arc::default(),
            short: Arc::default(),
        };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(accepting.clone().carry(client, number));
            }
        });
        proxy
    }

    pub fn set(&self, weather: Weather) {
        self.net.send_modify(|net| net.weather = weather);
    }

    /// The connections of this moment go silent for ever; new ones are not affected.
    pub fn half_open(&self) {
        let silent_below = self.connections.load(Ordering::SeqCst);
        self.net.send_modify(|net| net.silent_below = silent_below);
    }

    /// Traps close one after another, in this order.
    pub fn lay(&self, traps: &[Trap]) {
        self.traps.lock().unwrap().extend(traps);
    }

    /// Of what each connection says from now on, one piece more than so many arrives, and then it is cut.
    pub fn cut_behind(&self, pieces: usize) {
        *self.short.lock().unwrap() = (Some(pieces), false);
    }

    /// Whether a connection was too short since.
    pub fn has_cut(&self) -> bool {
        self.short.lock().unwrap().1
    }

    /// How many traps have not closed yet.
    pub fn open_traps(&self) -> usize {
        self.traps.lock().unwrap().len()
    }

    async fn carry(self, mut client: TcpStream, number: u64) {
        let mut net = self.net.subscribe();
        let Ok(weather) =
            net.wait_for(|net| net.weather != Weather::Frozen).await.map(|net| net.weather)
        else {
            return;
        };
        match weather {
            Weather::Cut => return,
            Weather::Answers(text) => {
                let _ = client.read(&mut [0; 4096]).await;
                let _ = client.write_all(text.as_bytes()).await;
                return;
            }
            _ => {}
        }
        let Ok(server) = TcpStream::connect(self.target).await else { return };
        for end in [&client, &server] {
            let _ = end.set_nodelay(true);
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let answer_lost = AtomicBool::new(false);
        let mut said = Said::default();
        let wire = |from, to| Wire { from, to, net: self.net.subscribe(), number };
        let up =
            wire(from_client, to_server).pump(|bytes| self.look(bytes, &mut said, &answer_lost));
        let down =
            wire(from_server, to_client).pump(|_| match answer_lost.load(Ordering::SeqCst) {
                true => Fate::Lost,
                false => Fate::Passes,
            });
        let is_over = |net: &Net| matches!(net.weather, Weather::Cut | Weather::Answers(_));
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = net.wait_for(is_over) => {}
        }
    }

    /// What becomes of a piece from the client, which has `said` others before.
    fn look(&self, bytes: &[u8], said: &mut Said, answer_lost: &AtomicBool) -> Fate {
        if said.beginning.len() < BEGINNING {
            said.beginning.extend_from_slice(bytes);
        }
        let mut short = self.short.lock().unwrap();
        if short.0 == Some(said.pieces) {
            short.1 = true;
            answer_lost.store(true, Ordering::SeqCst);
        }
        said.pieces += 1;
        drop(short);
        let mut traps = self.traps.lock().unwrap();
        let Some(trap) = traps.front().copied() else { return Fate::Passes };
        if !contains(bytes, trap.at) || !contains(&said.beginning, trap.known_by) {
            return Fate::Passes;
        }
        traps.pop_front();
        answer_lost.store(true, Ordering::SeqCst);
        if trap.arrives { Fate::Passes } else { Fate::Lost }
    }
}

/// How much of a connection's talk is remembered, for a trap to know it by.
const BEGINNING: usize = 256 * 1024;

/// What a client has said on a connection.
#[derive(Default)]
struct Said {
    beginning: Vec<u8>,
    pieces: usize,
}

fn contains(bytes: &[u8], words: &str) -> bool {
    words.is_empty() || bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

enum Fate {
    Passes,
    /// With its connection.
    Lost,
}

/// One direction of a connection.
struct Wire {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    net: watch::Receiver<Net>,
    number: u64,
}

impl Wire {
    /// Ends with the connection; never, where it is half open.
    async fn pump(mut self, mut fate: impl FnMut(&[u8]) -> Fate) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = self.from.read(&mut buffer).await.unwrap_or(0);
            let piece = &buffer[..length];
            let frozen = |net: &Net| net.weather == Weather::Frozen;
            let Ok(net) = self.net.wait_for(|net| !frozen(net)).await.map(|net| *net) else {
                return;
            };
            match (self.number < net.silent_below, length) {
                (true, 0) => std::future::pending().await,
                (true, _) => continue,
                (false, 0) => return,
                (false, _) => {}
            }
            if let Weather::Slow(by) = net.weather {
                tokio::time::sleep(by).await;
            }
            if matches!(fate(piece), Fate::Lost) || self.to.write_all(piece).await.is_err() {
                return;
            }
        }
    }
}
