//! What `[auth]` says.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;

/// Whom the service knows.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// None: no tokens are taken.
    pub tokens: Option<TokenSettings>,
    /// None: no API keys are taken.
    pub api_keys_file: Option<PathBuf>,
}

/// Which tokens are taken.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    pub keys: KeySource,
    /// Compared exactly with `iss`, where it is set.
    pub issuer: Option<String>,
    /// One of a token's `aud`.
    pub audience: String,
    /// The only ones that a token may be signed with, whatever its header says.
    pub algorithms: Vec<Algorithm>,
    /// Where a token says its roles: a claim's name, or a path of names with dots.
    pub roles_claim: String,
}

/// Where the keys are that tokens are signed with.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Where this issuer's OpenID configuration says.
    Discovery(String),
    JwksUrl(String),
    /// PEM; several for a rotation.
    PublicKeyFile(PathBuf),
    /// One secret for HS256.
    SecretFile(PathBuf),
}

/// Whether keys may be fetched from there: nobody on the way can exchange them.
///
/// # Errors
/// What is wrong with the address, and the way out.
pub fn is_safe_address(url: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(url).map_err(|error| format!("is no URL ({error})"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local => Ok(()),
        "http" => Err(format!(
            "is http://{host}/…: whoever is on the way there could give keys of their own; write an https:// address"
        )),
        other => Err(format!("begins with `{other}:`; write an https:// address")),
    }
}
