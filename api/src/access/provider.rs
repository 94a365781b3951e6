//! What `jsonwebtoken` verifies signatures with: the OpenSSL that the clients of Kafka and Postgres bring already. A key comes
//! as its SubjectPublicKeyInfo. Invariant: an algorithm takes its own kind of key, and nothing is ever signed.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{Id, PKey, PKeyRef, Private, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |algorithm, key| {
        let verifying = match algorithm.family() {
            AlgorithmFamily::Hmac => Verifying::secret(key)?,
            _ => Verifying::public(key)?,
        };
        Ok(Box::new(Signature { algorithm: *algorithm, verifying }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Must be called before the first token is judged; again, it changes nothing.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

struct Signature {
    algorithm: Algorithm,
    verifying: Verifying,
}

enum Verifying {
    Secret(PKey<Private>),
    Public(PKey<Public>),
}

impl Verifying {
    fn secret(key: &DecodingKey) -> Result<Self, Error> {
        match key.family() {
            AlgorithmFamily::Hmac => {
                PKey::hmac(key.try_get_as_bytes()?).map(Self::Secret).map_err(|_| wrong_key())
            }
            _ => Err(wrong_key()),
        }
    }

    fn public(key: &DecodingKey) -> Result<Self, Error> {
        match key.family() {
            AlgorithmFamily::Hmac => Err(wrong_key()),
            _ => PKey::public_key_from_der(key.try_get_as_bytes()?)
                .map(Self::Public)
                .map_err(|_| wrong_key()),
        }
    }
}

fn wrong_key() -> Error {
    new_error(ErrorKind::InvalidKeyFormat)
}

impl JwtVerifier for Signature {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Signature {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        match self.is_valid(message, signature) {
            Ok(true) => Ok(()),
            Ok(false) => Err(signature::Error::new()),
            Err(error) => Err(signature::Error::from_source(error)),
        }
    }
}

impl Signature {
    fn is_valid(&self, message: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
        use Algorithm as A;
        let Some(digest) = digest(self.algorithm) else {
            return match &self.verifying {
                Verifying::Public(key) if key.id() == Id::ED25519 => {
                    Verifier::new_without_digest(key)?.verify_oneshot(signature, message)
                }
                _ => Ok(false),
            };
        };
        match (&self.verifying, self.algorithm) {
            (Verifying::Secret(key), A::HS256 | A::HS384 | A::HS512) => {
                let expected = Signer::new(digest, key)?.sign_oneshot_to_vec(message)?;
                Ok(expected.len() == signature.len() && openssl::memcmp::eq(&expected, signature))
            }
            (Verifying::Public(key), A::RS256 | A::RS384 | A::RS512) if key.id() == Id::RSA => {
                Verifier::new(digest, key)?.verify_oneshot(signature, message)
            }
            (Verifying::Public(key), A::PS256 | A::PS384 | A::PS512) if key.id() == Id::RSA => {
                let mut verifier = Verifier::new(digest, key)?;
                verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                verifier.set_rsa_mgf1_md(digest)?;
                verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                verifier.verify_oneshot(signature, message)
            }
            (Verifying::Public(key), A::ES256) => ecdsa(key, 32, digest, message, signature),
            (Verifying::Public(key), A::ES384) => ecdsa(key, 48, digest, message, signature),
            _ => Ok(false),
        }
    }
}

/// None for what hashes by itself.
fn digest(algorithm: Algorithm) -> Option<MessageDigest> {
    use Algorithm as A;
    match algorithm {
        A::HS256 | A::RS256 | A::PS256 | A::ES256 => Some(MessageDigest::sha256()),
        A::HS384 | A::RS384 | A::PS384 | A::ES384 => Some(MessageDigest::sha384()),
        A::HS512 | A::RS512 | A::PS512 => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// A token has the two numbers of `width` bytes one after the other, OpenSSL wants them by themselves.
fn ecdsa(
    key: &PKeyRef<Public>,
    width: usize,
    digest: MessageDigest,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    if key.id() != Id::EC || key.bits() as usize != width * 8 || signature.len() != width * 2 {
        return Ok(false);
    }
    let (r, s) = signature.split_at(width);
    let signature =
        EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&hash(digest, message)?, &*key.ec_key()?)
}
