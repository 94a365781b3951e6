//! Certificates that live as long as a test, by an authority of its own.

use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

/// Seconds since 1970.
fn now() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let (name, key) = (name("an authority"), key());
        let mut builder = begun(&name, &key, -1, 30);
        builder.set_issuer_name(&name).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// One whose ca.pem and ca.key are in this folder.
    pub fn read(folder: &Path) -> Self {
        let pem = |file| std::fs::read(folder.join(file)).unwrap();
        let certificate = X509::from_pem(&pem("ca.pem")).unwrap();
        Self { certificate, key: PKey::private_key_from_pem(&pem("ca.key")).unwrap() }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().unwrap()).unwrap()
    }

    /// For this machine under the names `localhost` and `127.0.0.1`, and for a client of this common name.
    pub fn issue(&self, common_name: &str) -> Issued {
        self.issue_until(common_name, 20)
    }

    /// The same, good for so many days from now on, or to so many days ago.
    pub fn issue_until(&self, common_name: &str, days: i64) -> Issued {
        self.issue_for(common_name, &["localhost"], &["127.0.0.1"], days)
    }

    /// For a machine of other names.
    pub fn issue_for(&self, common_name: &str, hosts: &[&str], ips: &[&str], days: i64) -> Issued {
        let key = key();
        let mut builder = begun(&name(common_name), &key, days.min(0) - 10, days);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let mut names = SubjectAlternativeName::new();
        hosts.iter().for_each(|host| _ = names.dns(host));
        ips.iter().for_each(|ip| _ = names.ip(ip));
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
        Issued {
            cert: text(builder.build().to_pem().unwrap()),
            key: text(key.private_key_to_pem_pkcs8().unwrap()),
        }
    }
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn name(common: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common).unwrap();
    name.build()
}

fn begun(name: &X509Name, key: &PKey<Private>, from: i64, until: i64) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    let mut serial = [0; 8];
    rand_bytes(&mut serial).unwrap();
    let serial = BigNum::from_slice(&serial).unwrap().to_asn1_integer().unwrap();
    let day = |days: i64| Asn1Time::from_unix(now() + days * 86_400).unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(name).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(until)).unwrap();
    builder
}
