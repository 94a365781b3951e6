//! The certificate that the listeners show. Invariant: what was taken once is shown until something that can be shown takes
//! its place; a file that cannot be used changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use metrics::gauge;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::x509::X509;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::measure::CERTIFICATE_UNTIL_SECONDS;

/// HTTP/2 as the protocol is called in a handshake; it goes first.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How long before its end a certificate is spoken of …
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// … and of one that lives shorter, in which last part of its life.
const LAST_PART: u32 = 3;

/// Why a certificate and its key cannot be used. Each names its file, or both.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} ({setting}) cannot be read: {error}", file.display())]
    Unreadable { setting: &'static str, file: PathBuf, error: std::io::Error },
    #[error("{} (http.tls_cert) holds no certificate that can be read; PEM is wanted, the listener's own first, then those that signed it", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} (http.tls_key) holds no private key that can be read; PEM is wanted, without a passphrase: `openssl pkey` takes it off", .0.display())]
    NoKey(PathBuf),
    #[error("the key in {} (http.tls_key) does not belong to the certificate in {} (http.tls_cert)", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("the certificate in {} (http.tls_cert) has expired on {}", file.display(), date(*until))]
    Expired { file: PathBuf, until: SystemTime },
    #[error("{} (http.tls_cert) and {} (http.tls_key) cannot be used: {reason}", cert.display(), key.display())]
    Unusable { cert: PathBuf, key: PathBuf, reason: String },
}

/// What the listeners show, and where it comes from.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    shown: RwLock<Shown>,
}

#[derive(Clone)]
struct Shown {
    config: Arc<ServerConfig>,
    validity: Validity,
    /// The files' bytes, to be compared.
    cert: Arc<[u8]>,
    key: Arc<[u8]>,
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    from: SystemTime,
    until: SystemTime,
}

impl Tls {
    /// Reads a certificate, with those that signed it, and its key. One that has expired is shown, too: [`Self::look`] says
    /// so.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let shown = Shown::read(&cert, &key)?;
        Ok(Self { cert, key, shown: RwLock::new(shown) })
    }

    /// Reads the files again, and shows what they hold from the next connection on; false where they hold the same.
    ///
    /// # Errors
    /// They cannot be used, or the new certificate has expired and the old one has not: the old one is shown on.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let (new, old) = (Shown::read(&self.cert, &self.key)?, self.shown());
        if (&new.cert, &new.key) == (&old.cert, &old.key) {
            return Ok(false);
        }
        let (now, until) = (SystemTime::now(), new.validity.until);
        if until <= now && old.validity.until > now {
            return Err(TlsError::Expired { file: self.cert.clone(), until });
        }
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }

    /// Measures when the certificate ends, and gives what is to be said of its dates at this moment: nothing while it is
    /// good for long.
    pub fn look(&self, now: SystemTime) -> Option<String> {
        let validity = self.shown().validity;
        let until = validity.until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        gauge!(CERTIFICATE_UNTIL_SECONDS).set(until.as_secs_f64());
        let found = validity.at(now)?;
        Some(format!("the certificate in {} (http.tls_cert) {found}", self.cert.display()))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.shown().config)
    }

    fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert", &self.cert).field("key", &self.key).finish()
    }
}

impl Shown {
    fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |file: &Path, setting| {
            std::fs::read(file).map_err(|error| TlsError::Unreadable {
                setting,
                file: file.to_owned(),
                error,
            })
        };
        let (cert_pem, key_pem) = (read(cert, "http.tls_cert")?, read(key, "http.tls_key")?);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate(cert.to_owned()))?;
        let validity =
            Validity::of(&chain[0]).map_err(|_| TlsError::NoCertificate(cert.to_owned()))?;
        let private =
            PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| TlsError::NoKey(key.to_owned()))?;
        let config = config(chain, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() }
            }
            error => TlsError::Unusable {
                cert: cert.to_owned(),
                key: key.to_owned(),
                reason: error.to_string(),
            },
        })?;
        Ok(Self { config: Arc::new(config), validity, cert: cert_pem.into(), key: key_pem.into() })
    }
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

impl Validity {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, ErrorStack> {
        let certificate = X509::from_der(certificate)?;
        let (from, until) = (moment(certificate.not_before())?, moment(certificate.not_after())?);
        Ok(Self { from, until })
    }

    /// What is to be said of it at this moment, as the end of a sentence.
    fn at(self, now: SystemTime) -> Option<String> {
        let until = date(self.until);
        if now < self.from {
            return Some(format!(
                "is not good before {}: until then clients refuse it",
                date(self.from)
            ));
        }
        let Ok(left) = self.until.duration_since(now) else {
            return Some(format!("has expired on {until}: clients refuse it; put a new one there"));
        };
        let life = self.until.duration_since(self.from).unwrap_or_default();
        (left < SOON.min(life / LAST_PART)).then(|| {
            let hours = left.as_secs() / 3600;
            let left =
                if hours < 48 { format!("{hours} h") } else { format!("{} days", hours / 24) };
            format!("expires on {until}, in {left}; put a new one there")
        })
    }
}

fn moment(time: &Asn1TimeRef) -> Result<SystemTime, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    Ok(if seconds < 0 { epoch - distance } else { epoch + distance })
}

fn date(moment: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_spoken_of_before_and_after_it_is_good() {
        let day = |number: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(number * 86_400);
        let year = Validity { from: day(100), until: day(465) };
        let said = |validity: Validity, now| validity.at(now).unwrap_or_default();
        assert!(said(year, day(99)).contains("not good before 1970-04-11T00:00:00Z"));
        assert_eq!(said(year, day(100)), "");
        assert_eq!(said(year, day(451)), "");
        assert!(said(year, day(452)).contains("expires on 1971-04-11T00:00:00Z, in 13 days"));
        assert!(said(year, day(465)).contains("in 0 h"));
        assert!(said(year, day(466)).contains("has expired on 1971-04-11T00:00:00Z"));
        // One that lives three days is replaced every other day.
        let short = Validity { from: day(100), until: day(103) };
        assert_eq!(said(short, day(102)), "");
        assert!(said(short, day(102) + Duration::from_secs(1)).contains("in 23 h"));
    }
}
