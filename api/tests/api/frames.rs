//! HTTP/2 frame by frame, as a client that means no good sends them.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Whom every request asks.
pub(crate) const HOST: &str = "db.example:8080";

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Frames(TlsStream<TcpStream>);

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// What a SETTINGS frame says, by the settings' numbers.
    pub(crate) fn settings(&self) -> BTreeMap<u16, u32> {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        let pairs = self.payload.chunks(6);
        pairs.map(|pair| (number(&pair[..2]) as u16, number(&pair[2..]))).collect()
    }
}

impl Frames {
    /// Says hello, with no settings of its own.
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Self {
        let mut frames = Self(stream);
        frames.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(&frame(SETTINGS, 0, 0, &[])).await;
        frames
    }

    pub(crate) async fn get(&mut self, stream: u32, path: &str) {
        self.send(&request(stream, path)).await;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The first frame that is looked for; none where the connection ends before.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.next()).await.unwrap().ok()?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    async fn next(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind: head[3], payload })
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// A whole GET, as one frame that ends its headers and its stream.
pub(crate) fn request(stream: u32, path: &str) -> Vec<u8> {
    // HPACK's own entries: `:method: GET`, `:scheme: https`; then `:authority` and `:path` by the names' numbers.
    let block = [&[0x82, 0x87][..], &literal(0x01, HOST), &literal(0x04, path)].concat();
    frame(HEADERS, 0x5, stream, &block)
}

/// One header that nobody is to keep.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

fn literal(name: u8, value: &str) -> Vec<u8> {
    [&[name][..], &text(value)].concat()
}

/// Without Huffman's code; a length of 127 and more goes on in pieces of 7 bits.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        short @ 0..127 => bytes.push(short as u8),
        long => {
            bytes.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                bytes.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}
