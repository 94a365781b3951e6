//! An issuer of tokens: OpenID's discovery and key set on a real socket, with keys of its own. It can go away and come back, say
//! other keys, and sign whatever it is asked to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A key that signs.
pub(crate) struct SigningKey {
    pub(crate) id: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) key: PKey<Private>,
}

impl SigningKey {
    pub(crate) fn rsa(id: &'static str, algorithm: &'static str, bits: u32) -> Self {
        Self { id, algorithm, key: PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap() }
    }

    pub(crate) fn ec(id: &'static str, algorithm: &'static str, curve: Nid) -> Self {
        let group = EcGroup::from_curve_name(curve).unwrap();
        Self { id, algorithm, key: PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap() }
    }

    pub(crate) fn p256(id: &'static str) -> Self {
        Self::ec(id, "ES256", Nid::X9_62_PRIME256V1)
    }

    pub(crate) fn ed25519(id: &'static str) -> Self {
        Self { id, algorithm: "EdDSA", key: PKey::generate_ed25519().unwrap() }
    }

    /// As RFC 7517 publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            "EdDSA" => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(self.key.raw_public_key().unwrap()) })
            }
            "ES256" | "ES384" => {
                let key = self.key.ec_key().unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = BigNumContext::new().unwrap();
                key.public_key()
                    .affine_coordinates(key.group(), &mut x, &mut y, &mut context)
                    .unwrap();
                let width = if self.algorithm == "ES256" { 32 } else { 48 };
                let padded = |number: &BigNum| base64url(number.to_vec_padded(width).unwrap());
                json!({ "kty": "EC", "crv": format!("P-{}", width * 8), "x": padded(&x), "y": padded(&y) })
            }
            _ => {
                let key = self.key.rsa().unwrap();
                json!({ "kty": "RSA", "n": base64url(key.n().to_vec()), "e": base64url(key.e().to_vec()) })
            }
        };
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.key.public_key_to_pem().unwrap()
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.id }), claims)
    }

    /// Whatever the header says, signed as this key signs.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&format!(
            "{}.{}",
            base64url(header.to_string()),
            base64url(claims.to_string())
        ))
    }

    pub(crate) fn sign_text(&self, message: &str) -> String {
        format!("{message}.{}", base64url(self.signature(message.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let digest = match &self.algorithm[2..] {
            "256" => MessageDigest::sha256(),
            "384" => MessageDigest::sha384(),
            "512" => MessageDigest::sha512(),
            _ => {
                let mut signer = Signer::new_without_digest(&self.key).unwrap();
                return signer.sign_oneshot_to_vec(message).unwrap();
            }
        };
        if self.algorithm.starts_with("ES") {
            let width = if self.algorithm == "ES256" { 32 } else { 48 };
            let signature =
                EcdsaSig::sign(&hash(digest, message).unwrap(), &self.key.ec_key().unwrap())
                    .unwrap();
            let padded = |number: &openssl::bn::BigNumRef| number.to_vec_padded(width).unwrap();
            return [padded(signature.r()), padded(signature.s())].concat();
        }
        let mut signer = Signer::new(digest, &self.key).unwrap();
        if self.algorithm.starts_with("PS") {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_mgf1_md(digest).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        signer.sign_oneshot_to_vec(message).unwrap()
    }
}

/// A token signed with a secret.
pub(crate) fn with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let key = PKey::hmac(secret).unwrap();
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
    format!("{message}.{}", base64url(signature))
}

pub(crate) struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
    /// How often its keys were asked for.
    asked: Arc<AtomicUsize>,
    serving: Option<JoinHandle<()>>,
}

impl Issuer {
    /// Nobody listens at its address yet.
    pub(crate) async fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, keys: Arc::default(), asked: Arc::default(), serving: None }
    }

    pub(crate) async fn with(keys: &[&SigningKey]) -> Self {
        let mut issuer = Self::away().await;
        issuer.publish(keys.iter().map(|key| key.jwk()).collect());
        issuer.come().await;
        issuer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn jwks_url(&self) -> String {
        format!("{}keys", self.url())
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, keys: Vec<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    pub(crate) async fn come(&mut self) {
        let url = self.url();
        let (keys, asked) = (self.keys.clone(), self.asked.clone());
        let configuration = json!({ "issuer": url, "jwks_uri": self.jwks_url() });
        let jwks = move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let keys = keys.lock().unwrap().clone();
            async move { Json(json!({ "keys": keys })) }
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async || Json(configuration)))
            .route("/keys", get(jwks));
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving =
            Some(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
    }

    pub(crate) async fn go(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}
