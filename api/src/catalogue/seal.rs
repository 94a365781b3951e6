//! Cursors that nobody reads but us. Invariant: what was sealed opens only for the reader that it was sealed for, and says
//! nothing to anybody, not even to that reader; one cursor is always the same text, so answers that are equal stay so.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

/// Bytes of a nonce.
const NONCE: usize = 24;

/// What all instances know and nobody else.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

/// Seals for one reader's sight of one view.
pub(crate) struct Seal {
    cipher: XChaCha20Poly1305,
    nonces: [u8; 32],
    bound: Vec<u8>,
}

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        digest([purpose.as_bytes(), &self.0])
    }
}

impl Seal {
    /// A seal that is bound to `parts`: under others nothing opens.
    pub(crate) fn new<'a>(secret: &Secret, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let key = Key::from(secret.derive("vitrina cursor"));
        Self {
            cipher: XChaCha20Poly1305::new(&key),
            nonces: secret.derive("vitrina cursor nonce"),
            bound: digest(parts.into_iter().map(str::as_bytes)).to_vec(),
        }
    }

    /// The nonce is made of what is sealed, so it comes again only with the same text.
    pub(crate) fn seal(&self, text: &[u8]) -> Option<Vec<u8>> {
        let nonce = digest([&self.nonces[..], &self.bound, text]);
        let nonce: [u8; NONCE] = nonce.first_chunk().copied()?;
        let payload = Payload { msg: text, aad: &self.bound };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: &self.bound };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

/// SHA-256 over parts of which none can be taken for a piece of another.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_seal_opens_for_whom_it_was_made_alone() {
        let secret = Secret::new(vec![7; 32]);
        let seal = Seal::new(&secret, ["ann", "scope"]);
        let sealed = seal.seal(b"hidden").unwrap();
        assert_eq!(seal.open(&sealed).unwrap(), b"hidden");
        assert_eq!(seal.seal(b"hidden").unwrap(), sealed);
        assert_ne!(seal.seal(b"hiddem").unwrap()[..NONCE], sealed[..NONCE]);
        for other in [
            Seal::new(&secret, ["bob", "scope"]),
            Seal::new(&secret, ["annscope"]),
            Seal::new(&Secret::new(vec![8; 32]), ["ann", "scope"]),
        ] {
            assert_eq!(other.open(&sealed), None);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), None);
        }
        assert_eq!(seal.open(&sealed[..NONCE - 1]), None);
    }
}
