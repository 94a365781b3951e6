//! What `[auth]` says: whom the service knows. What contradicts itself, or would let strangers in, is refused.

use vitrina_api::{Algorithm, AuthSettings, KeySource, TokenSettings, is_safe_address};

use super::source::Source;

/// Where the keys of tokens are, beside `auth.issuer`; one of them at most.
const KEYS: [&str; 3] = ["auth.jwks_url", "auth.public_key_file", "auth.secret_file"];
/// What only tokens have.
const OF_TOKENS: [&str; 3] = ["auth.audience", "auth.algorithms", "auth.roles_claim"];

/// None where there is no `[auth]`: then whoever reaches the listener may read all.
pub(super) fn auth(source: &mut Source) -> Option<AuthSettings> {
    if !source.names("auth") {
        return None;
    }
    let tokens = tokens(source);
    let api_keys_file = source.text("auth.api_keys_file").map(|file| source.folder.join(file));
    if tokens.is_none() && !source.names("auth.api_keys_file") && !names_keys(source) {
        source.refuse(
            "auth",
            "names nobody who may read: set auth.issuer, auth.jwks_url, auth.public_key_file or auth.secret_file for tokens, \
             auth.api_keys_file for API keys; or take [auth] out, and whoever reaches http.listen may read all",
        );
    }
    Some(AuthSettings { tokens, api_keys_file })
}

fn names_keys(source: &Source) -> bool {
    source.names("auth.issuer") || KEYS.iter().any(|key| source.names(key))
}

fn tokens(source: &mut Source) -> Option<TokenSettings> {
    if !names_keys(source) {
        let beside_keys = source.names("auth.api_keys_file");
        for key in
            OF_TOKENS.into_iter().filter(|key| beside_keys && source.names(key)).collect::<Vec<_>>()
        {
            source.refuse(
                key,
                "means nothing where no tokens are taken: say which keys they are signed with, by auth.issuer, \
                 auth.jwks_url, auth.public_key_file or auth.secret_file",
            );
        }
        return None;
    }
    let keys = keys(source);
    let algorithms = algorithms(source);
    let audience = source.text("auth.audience");
    if !source.names("auth.audience") {
        let first = KEYS.into_iter().find(|key| source.names(key)).unwrap_or("auth.issuer");
        source.refuse(
            first,
            "wants auth.audience beside it: without it, a token that was made for any other service would open this one; \
             write what the issuer puts into `aud` for Vitrina",
        );
    }
    Some(TokenSettings {
        keys: keys?,
        issuer: source.text("auth.issuer"),
        audience: audience?,
        algorithms: algorithms?,
        roles_claim: source.text("auth.roles_claim").unwrap_or_else(|| "roles".to_owned()),
    })
}

fn keys(source: &mut Source) -> Option<KeySource> {
    let named: Vec<&str> = KEYS.into_iter().filter(|key| source.names(key)).collect();
    if let [first, second, ..] = named[..] {
        source.refuse(
            second,
            &format!("stands beside {first}: both say which keys tokens are signed with; keep one"),
        );
        return None;
    }
    let key = named.first().copied().unwrap_or("auth.issuer");
    let text = source.text(key)?;
    let path = source.folder.join(&text);
    match key {
        "auth.public_key_file" => return Some(KeySource::PublicKeyFile(path)),
        "auth.secret_file" => return Some(KeySource::SecretFile(path)),
        _ => {}
    }
    if let Err(what) = is_safe_address(&text) {
        source.refuse(key, &what);
        return None;
    }
    match key {
        "auth.issuer" => Some(KeySource::Discovery(text)),
        _ => Some(KeySource::JwksUrl(text)),
    }
}

/// The only ones that are taken: never what a token says of itself.
fn algorithms(source: &mut Source) -> Option<Vec<Algorithm>> {
    let is_secret = source.names("auth.secret_file");
    let defaults = || match is_secret {
        true => vec![Algorithm::HS256],
        false => vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
    };
    let Some(names) = source.list("auth.algorithms") else {
        return (!source.names("auth.algorithms")).then(defaults);
    };
    let mut algorithms = Vec::new();
    for name in &names {
        match (name.parse::<Algorithm>(), is_secret) {
            (Ok(Algorithm::HS256), true) => algorithms.push(Algorithm::HS256),
            (_, true) => {
                source.refuse(
                    "auth.algorithms",
                    &format!("holds {name:?}; with auth.secret_file only \"HS256\" is possible"),
                );
                return None;
            }
            (Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512), false) => {
                source.refuse(
                    "auth.algorithms",
                    &format!("holds {name:?}, which is for auth.secret_file: with it, whoever knows the public key could sign"),
                );
                return None;
            }
            (Ok(algorithm), false) => algorithms.push(algorithm),
            (Err(_), false) => {
                source.refuse(
                    "auth.algorithms",
                    &format!("holds {name:?}; there are RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA"),
                );
                return None;
            }
        }
    }
    if algorithms.is_empty() {
        source.refuse(
            "auth.algorithms",
            "is empty, so no token could be taken; take the line out for the default",
        );
        return None;
    }
    Some(algorithms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::{Path, PathBuf};

    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Option<AuthSettings>, String> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut source = Source::parse("v.toml", text, PathBuf::from("/etc/v"), environment);
        let auth = auth(&mut source);
        match source.findings.is_empty() {
            true => Ok(auth),
            false => Err(source.findings.join("\n")),
        }
    }

    #[test]
    fn nobody_is_known_without_the_section_and_an_issuer_by_its_discovery() {
        assert!(load("", &[]).unwrap().is_none());
        let auth =
            load("[auth]\nissuer = \"https://id.example.org/\"\naudience = \"vitrina\"\n", &[]);
        let tokens = auth.unwrap().unwrap().tokens.unwrap();
        assert!(
            matches!(&tokens.keys, KeySource::Discovery(issuer) if issuer == "https://id.example.org/")
        );
        assert_eq!(tokens.issuer.as_deref(), Some("https://id.example.org/"));
        assert_eq!(tokens.algorithms, [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
        assert_eq!((tokens.audience.as_str(), tokens.roles_claim.as_str()), ("vitrina", "roles"));
    }

    #[test]
    fn files_start_at_the_folder_and_variables_name_them_too() {
        let variables = [
            ("VITRINA_AUTH__SECRET_FILE", "secret"),
            ("VITRINA_AUTH__AUDIENCE", "me"),
            ("VITRINA_AUTH__ALGORITHMS", "HS256"),
            ("VITRINA_AUTH__API_KEYS_FILE", "/run/keys.toml"),
        ];
        let auth = load("", &variables).unwrap().unwrap();
        assert_eq!(auth.api_keys_file.as_deref(), Some(Path::new("/run/keys.toml")));
        let tokens = auth.tokens.unwrap();
        assert!(
            matches!(&tokens.keys, KeySource::SecretFile(path) if path == Path::new("/etc/v/secret"))
        );
        assert_eq!((tokens.issuer, tokens.algorithms), (None, vec![Algorithm::HS256]));
        let listed = load(
            "[auth]\npublic_key_file = \"k\"\naudience = \"a\"\nalgorithms = [\"PS256\", \"ES384\"]\n",
            &[],
        );
        let listed = listed.unwrap().unwrap().tokens.unwrap().algorithms;
        assert_eq!(listed, [Algorithm::PS256, Algorithm::ES384]);
    }

    #[test]
    fn what_contradicts_itself_or_lets_strangers_in_is_refused_with_its_line() {
        let tokens = |rest: &str| format!("[auth]\naudience = \"a\"\n{rest}\n");
        for (file, expected) in [
            ("[auth]\n".to_owned(), "v.toml:1: auth names nobody who may read"),
            (
                "[auth]\naudience = \"a\"\napi_keys_file = \"k\"\n".to_owned(),
                "v.toml:2: auth.audience means nothing",
            ),
            (
                "[auth]\nissuer = \"https://a\"\n".to_owned(),
                "v.toml:2: auth.issuer wants auth.audience",
            ),
            (
                tokens("jwks_url = \"https://a\"\nsecret_file = \"s\""),
                "v.toml:4: auth.secret_file stands beside auth.jwks_url",
            ),
            (
                tokens("issuer = \"http://id.example.org\""),
                "v.toml:3: auth.issuer is http://id.example.org/…",
            ),
            (tokens("jwks_url = \"file:///k\""), "v.toml:3: auth.jwks_url begins with `file:`"),
            (tokens("jwks_url = \"keys\""), "v.toml:3: auth.jwks_url is no URL"),
            (tokens("issuer = \"\""), "v.toml:3: auth.issuer is empty"),
            (
                tokens("jwks_url = \"https://a\"\nalgorithms = [\"RS256\", \"none\"]"),
                "v.toml:4: auth.algorithms holds \"none\"",
            ),
            (
                tokens("jwks_url = \"https://a\"\nalgorithms = [\"HS256\"]"),
                "v.toml:4: auth.algorithms holds \"HS256\", which is for auth.secret_file",
            ),
            (
                tokens("secret_file = \"s\"\nalgorithms = [\"RS256\"]"),
                "v.toml:4: auth.algorithms holds \"RS256\"; with auth.secret_file only",
            ),
            (
                tokens("jwks_url = \"https://a\"\nalgorithms = []"),
                "v.toml:4: auth.algorithms is empty",
            ),
            (
                tokens("jwks_url = \"https://a\"\nalgorithms = [1]"),
                "v.toml:4: auth.algorithms is a list of other things than texts",
            ),
            (
                tokens("jwk_url = \"https://a\""),
                "v.toml:3: unknown key `jwk_url` in [auth]: did you mean `jwks_url`?",
            ),
        ] {
            let found = load(&file, &[]).unwrap_err();
            assert!(found.starts_with(expected) && found.lines().count() <= 2, "{file}{found}");
        }
        for local in
            ["http://127.0.0.1:9/", "http://localhost:9", "http://[::1]:9", "http://id.localhost"]
        {
            assert!(load(&tokens(&format!("issuer = \"{local}\"")), &[]).is_ok(), "{local}");
        }
        for tricky in [
            "http://127.0.0.1.example.org/",
            "http://localhost@evil.example/",
            "http://localhost.example.org",
        ] {
            assert!(load(&tokens(&format!("issuer = \"{tricky}\"")), &[]).is_err(), "{tricky}");
        }
    }
}
