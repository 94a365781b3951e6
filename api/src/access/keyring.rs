//! The keys that tokens may be signed with. Invariant: each key is for signatures, of a kind and a size that are safe, and
//! verifies only algorithms of its kind, so no token chooses how it is judged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde::Deserialize;
use serde_json::Value;

/// RFC 7518 §3.2: a secret at least as long as the hash.
const SECRET_BYTES: usize = 32;
/// RFC 7518 §3.3.
const RSA_BITS: i32 = 2048;
/// No issuer has as many; so many signatures a token without `kid` may cost.
const MOST_KEYS: usize = 64;

/// What a key may verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

pub(super) struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that its issuer uses it with, where that is said.
    algorithm: Option<String>,
    pub(super) key: DecodingKey,
}

/// All keys of one source.
#[derive(Default)]
pub(super) struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// Of `auth.secret_file`.
    pub(super) fn of_secret(bytes: &[u8]) -> Result<Self, String> {
        let secret = bytes.trim_ascii_end();
        if secret.len() < SECRET_BYTES {
            return Err(format!(
                "holds {} bytes: HS256 needs {SECRET_BYTES} or more, or whoever has one token finds the secret; `openssl rand -hex 32` writes one",
                secret.len()
            ));
        }
        let key = DecodingKey::from_secret(secret);
        Ok(Self { keys: vec![Key { id: None, kind: Kind::Secret, algorithm: None, key }] })
    }

    /// Of `auth.public_key_file`: one PEM block or several.
    pub(super) fn of_pem(bytes: &[u8]) -> Result<Self, String> {
        const END: &str = "-----END ";
        let text =
            std::str::from_utf8(bytes).map_err(|_| "is no PEM: it is not text".to_owned())?;
        if text.contains("PRIVATE KEY-----") {
            return Err("holds a private key, which only the issuer may have: write the public one, as `openssl pkey -pubout` gives it".into());
        }
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some(end) = rest.find(END) {
            let length = rest[end..].find('\n').map_or(rest.len(), |line| end + line + 1);
            let (block, after) = rest.split_at(length);
            let key = public_key(block).ok_or(
                "holds a PEM block that is no public key and no certificate of an RSA, P-256, P-384 or Ed25519 key",
            )?;
            keys.push(Key::new(None, None, &key)?);
            rest = after;
        }
        match keys.is_empty() {
            true => Err("holds no PEM block: it begins with -----BEGIN PUBLIC KEY-----".into()),
            false => Ok(Self { keys }),
        }
    }

    /// A JSON Web Key Set; with it, what of it is passed over, and why.
    pub(super) fn of_jwks(bytes: &[u8]) -> Result<(Self, Vec<String>), String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(bytes)
            .map_err(|error| format!("its keys are no JSON Web Key Set: {error}"))?;
        let mut ring = Self::default();
        let mut passed_over = Vec::new();
        for (index, key) in set.keys.into_iter().enumerate() {
            let named = key.get("kid").and_then(Value::as_str).map(str::to_owned);
            let named = named.map_or_else(|| format!("key {}", index + 1), |id| format!("{id:?}"));
            match Jwk::deserialize(key).map_err(|error| error.to_string()).and_then(Jwk::key) {
                Ok(_) if ring.keys.len() == MOST_KEYS => {
                    passed_over.push(format!("{named}: it comes after {MOST_KEYS} others"));
                }
                Ok(key) => ring.keys.push(key),
                Err(why) => passed_over.push(format!("{named}: {why}")),
            }
        }
        Ok((ring, passed_over))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token of this header may be signed with. A key without a name is meant by any.
    pub(super) fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        let meant = move |key: &&Key| match (id, key.id.as_deref()) {
            (Some(wanted), Some(id)) => wanted == id,
            _ => true,
        };
        self.keys.iter().filter(meant).filter(move |key| key.verifies(algorithm))
    }
}

impl Key {
    fn new<T: HasPublic>(
        id: Option<String>,
        algorithm: Option<String>,
        key: &PKey<T>,
    ) -> Result<Self, String> {
        let kind = match key.id() {
            Id::RSA => {
                is_strong(&*key.rsa().map_err(|_| "its numbers make no RSA key")?)?;
                Kind::Rsa
            }
            Id::EC => match key.ec_key().ok().and_then(|key| key.group().curve_name()) {
                Some(Nid::X9_62_PRIME256V1) => Kind::P256,
                Some(Nid::SECP384R1) => Kind::P384,
                _ => return Err("its curve is neither P-256 nor P-384".into()),
            },
            Id::ED25519 => Kind::Ed25519,
            _ => return Err("it is no RSA, P-256, P-384 or Ed25519 key".into()),
        };
        let der = key.public_key_to_der().map_err(|error| error.to_string())?;
        let key = match kind {
            Kind::Rsa => DecodingKey::from_rsa_der(&der),
            Kind::Ed25519 => DecodingKey::from_ed_der(&der),
            _ => DecodingKey::from_ec_der(&der),
        };
        Ok(Self { id, kind, algorithm, key })
    }

    fn verifies(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let fits = match self.kind {
            Kind::Secret => algorithm == A::HS256,
            Kind::Rsa => {
                matches!(algorithm, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512)
            }
            Kind::P256 => algorithm == A::ES256,
            Kind::P384 => algorithm == A::ES384,
            Kind::Ed25519 => algorithm == A::EdDSA,
        };
        // RFC 9864 names EdDSA by its curve.
        let named = |name: &String| match name.as_str() {
            "Ed25519" => algorithm == A::EdDSA,
            name => name.parse() == Ok(algorithm),
        };
        fits && self.algorithm.as_ref().is_none_or(named)
    }
}

/// What RFC 7517 says of a public key for signatures.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    fn key(self) -> Result<Key, String> {
        match (&self.usage, &self.key_ops) {
            (Some(usage), _) if usage != "sig" => {
                return Err(format!("its use is {usage:?}, not signatures"));
            }
            (_, Some(operations)) if !operations.iter().any(|operation| operation == "verify") => {
                return Err("its key_ops do not hold `verify`".into());
            }
            _ => {}
        }
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => self.rsa()?,
            ("EC", Some("P-256")) => self.ec(Nid::X9_62_PRIME256V1)?,
            ("EC", Some("P-384")) => self.ec(Nid::SECP384R1)?,
            ("OKP", Some("Ed25519")) => {
                PKey::public_key_from_raw_bytes(&number("x", &self.x)?, Id::ED25519)
                    .map_err(|_| "its `x` is no Ed25519 key")?
            }
            ("oct", _) => return Err("a secret that is published is none".into()),
            (kty, crv) => {
                return Err(format!("its kind, {kty} {}, is not taken", crv.unwrap_or_default()));
            }
        };
        Key::new(self.kid, self.alg, &key)
    }

    fn rsa(&self) -> Result<PKey<Public>, String> {
        let number = |name, value: &_| {
            BigNum::from_slice(&number(name, value)?).map_err(|error| error.to_string())
        };
        let key = Rsa::from_public_components(number("n", &self.n)?, number("e", &self.e)?);
        key.and_then(PKey::from_rsa).map_err(|_| "its numbers make no RSA key".into())
    }

    fn ec(&self, curve: Nid) -> Result<PKey<Public>, String> {
        let (x, y) = (number("x", &self.x)?, number("y", &self.y)?);
        let key = || {
            let group = EcGroup::from_curve_name(curve)?;
            let (x, y) = (BigNum::from_slice(&x)?, BigNum::from_slice(&y)?);
            let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y)?;
            key.check_key()?;
            PKey::from_ec_key(key)
        };
        key().map_err(|_: openssl::error::ErrorStack| "its point is not on its curve".into())
    }
}

fn number(name: &str, value: &Option<String>) -> Result<Vec<u8>, String> {
    let value = value.as_ref().ok_or_else(|| format!("it has no `{name}`"))?;
    URL_SAFE_NO_PAD.decode(value).map_err(|_| format!("its `{name}` is no base64url"))
}

fn is_strong<T: HasPublic>(key: &openssl::rsa::RsaRef<T>) -> Result<(), String> {
    let bits = key.n().num_bits();
    if bits < RSA_BITS {
        return Err(format!("its RSA key has {bits} bits; {RSA_BITS} are the least"));
    }
    // With 1 every text is its own signature.
    match key.e().num_bits() > 1 && key.e().is_odd() {
        true => Ok(()),
        false => Err("its RSA exponent is none".into()),
    }
}

fn public_key(pem: &str) -> Option<PKey<Public>> {
    let pem = pem.as_bytes();
    PKey::public_key_from_pem(pem)
        .or_else(|_| Rsa::public_key_from_pem_pkcs1(pem).and_then(PKey::from_rsa))
        .or_else(|_| X509::from_pem(pem).and_then(|certificate| certificate.public_key()))
        .ok()
}
