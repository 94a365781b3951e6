//! Who asks: tokens of a real issuer, keys in files, API keys; and every way in that others have left open.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use openssl::nid::Nid;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vitrina_api::{
    AUTHENTICATION_FAILURES_TOTAL, Algorithm, Api, ApiSettings, AuthSettings, KEY_FETCHES_TOTAL,
    KeySource, TokenSettings,
};

use crate::issuer::{Issuer, SigningKey, base64url, seconds, with_secret};
use crate::stage::{Answer, Stage};

const AUDIENCE: &str = "vitrina";

/// A stage whose router knows readers.
struct Door {
    router: Router,
    stage: Stage,
}

impl Door {
    async fn new(auth: AuthSettings) -> Self {
        let stage = Stage::flight().await;
        let settings = ApiSettings { auth: Some(auth), ..ApiSettings::new(&stage.url) };
        Self { router: Api::new(settings).unwrap().router(), stage }
    }

    async fn of_tokens(keys: KeySource, issuer: Option<String>) -> Self {
        Self::new(AuthSettings { tokens: Some(tokens(keys, issuer)), api_keys_file: None }).await
    }

    async fn of_issuer(issuer: &Issuer) -> Self {
        let url = issuer.url();
        Self::of_tokens(KeySource::Discovery(url.clone()), Some(url)).await
    }

    async fn send(&self, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = Request::get("/v1/views").body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        Answer::to(self.router.clone(), request).await
    }

    async fn bear(&self, token: &str) -> Answer {
        self.send(&[("authorization", &format!("Bearer {token}"))]).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.bear(token).await.status.as_u16()
    }

    /// Until the token is answered so.
    async fn until(&self, token: &str, status: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.bear(token).await;
            if answer.status == status {
                return;
            }
            assert!(Instant::now() < deadline, "{}, not {status}: {}", answer.status, answer.text);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asserts that a credential is refused as RFC 6750 has it, and gives the reason.
    async fn refused(&self, what: &str, token: &str) -> String {
        let answer = self.bear(token).await;
        let problem = answer.problem(what, 401, "invalid-credential");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{what}");
        assert!(token.len() < 20 || !answer.text.contains(token), "{what}: {}", answer.text);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn tokens(keys: KeySource, issuer: Option<String>) -> TokenSettings {
    use Algorithm as A;
    TokenSettings {
        keys,
        issuer,
        audience: AUDIENCE.to_owned(),
        algorithms: vec![A::RS256, A::PS256, A::ES256, A::ES384, A::EdDSA],
        roles_claim: "roles".to_owned(),
    }
}

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": AUDIENCE, "sub": "ann", "exp": seconds() + 600, "roles": ["staff"] })
}

/// `claims` with one of them changed; null takes it away.
fn with(mut claims: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
        value => claims[name] = value,
    }
    claims
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_taken_and_who_sends_none_is_anonymous() {
    let keys = [
        SigningKey::rsa("r", "RS256", 2048),
        SigningKey::rsa("p", "PS256", 2048),
        SigningKey::p256("e"),
        SigningKey::ec("f", "ES384", Nid::SECP384R1),
        SigningKey::ed25519("d"),
    ];
    let issuer = Issuer::with(&keys.iter().collect::<Vec<_>>()).await;
    let door = Door::of_issuer(&issuer).await;
    for key in &keys {
        let token = key.token(&claims(&issuer.url()));
        door.until(&token, 200).await;
        assert_eq!(door.status(&token).await, 200, "{}: the second time", key.algorithm);
        let other = door.send(&[("authorization", &format!("bEaReR  {token}"))]).await;
        assert_eq!(other.status, StatusCode::OK, "{}", key.algorithm);
        let several = with(claims(&issuer.url()), "aud", json!(["other", AUDIENCE]));
        assert_eq!(door.status(&key.token(&several)).await, 200, "{}", key.algorithm);
    }
    let anonymous = door.send(&[]).await;
    assert_eq!(anonymous.status, StatusCode::OK);
    let vary: Vec<_> = anonymous.headers.get_all("vary").iter().collect();
    assert!(vary.iter().any(|vary| vary.to_str().unwrap().contains("authorization")), "{vary:?}");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (rsa, ec, ed) =
        (SigningKey::rsa("r", "RS256", 2048), SigningKey::p256("e"), SigningKey::ed25519("d"));
    let issuer = Issuer::with(&[&rsa, &ec, &ed]).await;
    let door = Door::of_issuer(&issuer).await;
    let good = claims(&issuer.url());
    let token = rsa.token(&good);
    door.until(&token, 200).await;

    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", "AA"] {
            let header = json!({ "alg": none, "kid": "r" });
            let unsigned = format!(
                "{}.{}.{signature}",
                base64url(header.to_string()),
                base64url(good.to_string())
            );
            door.refused(none, &unsigned).await;
        }
    }
    // What everybody knows must not do as a secret.
    let jwk = rsa.jwk();
    let modulus = jwk["n"].as_str().unwrap().as_bytes();
    for public in [
        &rsa.pem()[..],
        &rsa.key.public_key_to_der().unwrap(),
        modulus,
        b"",
        jwk.to_string().as_bytes(),
    ] {
        for kid in [Some("r"), None] {
            let secret = if public.is_empty() { &b"\0"[..] } else { public };
            let forged = with_secret(secret, &json!({ "alg": "HS256", "kid": kid }), &good);
            let why = door.refused("HS256", &forged).await;
            assert!(why.contains("HS256"), "{why}");
        }
    }
    // A key of the forger's own, wherever the header says that it is.
    let own = SigningKey::rsa("r", "RS256", 2048);
    door.refused("own key", &own.token(&good)).await;
    for header in [
        json!({ "alg": "RS256", "kid": "r", "jwk": own.jwk() }),
        json!({ "alg": "RS256", "jwk": own.jwk() }),
        json!({ "alg": "RS256", "kid": "r", "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/" }),
        json!({ "alg": "RS256", "kid": "../../../../dev/null" }),
        json!({ "alg": "RS256", "kid": "' OR true --" }),
        json!({ "alg": "RS256", "kid": "r", "x5c": [base64url("MII")] }),
        json!({ "alg": "RS512", "kid": "r" }),
        json!({ "alg": "ES256", "kid": "r" }),
        json!({ "alg": "EdDSA", "kid": "r" }),
        json!({ "alg": "PS256", "kid": "r" }),
        json!({ "alg": "RS256", "kid": ["r"] }),
        json!({ "alg": ["RS256"], "kid": "r" }),
        json!({ "kid": "r" }),
    ] {
        door.refused(&header.to_string(), &own.sign(&header, &good)).await;
    }
    // The right key, and an extension that nobody has.
    for header in [
        json!({ "alg": "RS256", "kid": "r", "crit": ["b64"], "b64": false }),
        json!({ "alg": "RS256", "kid": "r", "crit": [] }),
        json!({ "alg": "RS256", "kid": "r", "zip": "DEF" }),
        json!({ "alg": "ES256", "kid": "r" }),
    ] {
        door.refused(&header.to_string(), &rsa.sign(&header, &good)).await;
    }
    // Signatures that a careless verifier takes for any text.
    let (message, signature) = token.rsplit_once('.').unwrap();
    let ec_message = ec.token(&good);
    let ec_message = ec_message.rsplit_once('.').unwrap().0;
    for zero in [vec![0; 64], vec![0; 63], vec![255; 64], Vec::new(), vec![0; 128]] {
        door.refused("zeroes", &format!("{ec_message}.{}", base64url(zero))).await;
    }
    let (head, body) = message.split_once('.').unwrap();
    let admin = base64url(with(good.clone(), "roles", json!(["admin"])).to_string());
    for malformed in [
        format!("{head}.{admin}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}=="),
        format!("x.{token}"),
        format!("{head}.{body}.{signature}.{signature}.{signature}"),
        format!("{token},{token}"),
        format!("{token} {token}"),
        token[..token.len() - 2].to_owned(),
        token.to_uppercase(),
        "..".to_owned(),
        "null".to_owned(),
        "ey".repeat(8000),
        format!("{}.{}.", base64url("[".repeat(5000)), base64url("{".repeat(5000))),
    ] {
        door.refused("malformed", &malformed).await;
    }
    assert_eq!(door.status(&token).await, 200);
    // Out of all proportion: before anybody looks at it.
    assert_eq!(door.status(&"e".repeat(40_000)).await, 431);
}

#[tokio::test]
async fn claims_are_wanted_and_judged() {
    let key = SigningKey::p256("e");
    let issuer = Issuer::with(&[&key]).await;
    let door = Door::of_issuer(&issuer).await;
    let (url, now) = (issuer.url(), seconds());
    door.until(&key.token(&claims(&url)), 200).await;
    for (name, value, expected) in [
        ("exp", json!(null), "`exp`"),
        ("exp", json!("9999999999"), "`exp`"),
        ("exp", json!(now - 40), "expired at"),
        ("exp", json!(0), "expired at 1970-01-01T00:00:00Z"),
        ("exp", json!(-1e300), "expired at 1970-01-01T00:00:00Z"),
        ("nbf", json!(now + 100), "not valid before"),
        ("nbf", json!("soon"), "`nbf`"),
        ("iss", json!(null), "`iss`"),
        ("iss", json!(url.trim_end_matches('/')), "`iss`"),
        ("iss", json!([url]), "`iss`"),
        ("iss", json!("https://evil.example/"), "`iss`"),
        ("aud", json!(null), "`aud`"),
        ("aud", json!("Vitrina"), "`aud`"),
        ("aud", json!([]), "`aud`"),
        ("aud", json!(["other"]), "`aud`"),
        ("sub", json!({ "a": 1 }), "malformed"),
    ] {
        let token = key.token(&with(claims(&url), name, value.clone()));
        let why = door.refused(name, &token).await;
        assert!(why.contains(expected), "{name} {value}: {why}");
    }
    for (name, value) in [
        ("exp", json!(now - 20)),
        ("exp", json!(now as f64 + 0.5)),
        ("nbf", json!(now + 20)),
        ("sub", json!(null)),
    ] {
        let token = key.token(&with(claims(&url), name, value.clone()));
        assert_eq!(door.status(&token).await, 200, "{name} {value}");
    }
    // A claim that is written twice means nothing.
    let body = claims(&url).to_string();
    let twice = body.replacen('{', &format!("{{\"exp\":{},", now - 1000), 1);
    let head = base64url(json!({ "alg": "ES256", "kid": "e" }).to_string());
    let signed = key.sign_text(&format!("{head}.{}", base64url(twice)));
    door.refused("twice", &signed).await;
}

#[tokio::test]
async fn a_token_that_was_taken_is_refused_once_it_has_expired() {
    let key = SigningKey::p256("e");
    let issuer = Issuer::with(&[&key]).await;
    let door = Door::of_issuer(&issuer).await;
    // The leeway leaves it a few seconds.
    let token = key.token(&with(claims(&issuer.url()), "exp", json!(seconds() - 25)));
    door.until(&token, 200).await;
    door.until(&token, 401).await;
}

#[tokio::test]
async fn keys_are_rotated_at_once_and_a_flood_of_unknown_ones_asks_the_issuer_twice() {
    let (old, new) = (SigningKey::p256("old"), SigningKey::p256("new"));
    let issuer = Issuer::with(&[&old]).await;
    let door = Door::of_issuer(&issuer).await;
    let (of_old, of_new) = (old.token(&claims(&issuer.url())), new.token(&claims(&issuer.url())));
    door.until(&of_old, 200).await;
    assert_eq!(issuer.asked(), 1);

    issuer.publish(vec![new.jwk()]);
    assert_eq!(door.status(&of_new).await, 200);
    assert_eq!(door.status(&of_old).await, 401, "the withdrawn key is remembered");
    let before = issuer.asked();
    let flood = (0..200).map(|number| {
        let header = json!({ "alg": "ES256", "kid": format!("k{number}") });
        let token = new.sign(&header, &claims(&issuer.url()));
        let door = &door;
        async move { assert_eq!(door.status(&token).await, 401) }
    });
    futures_util::future::join_all(flood).await;
    assert!(issuer.asked() - before <= 2, "asked {} times", issuer.asked() - before);
    assert_eq!(door.status(&of_new).await, 200);
}

#[tokio::test]
async fn an_issuer_that_is_away_lets_nobody_in_and_its_last_keys_hold() {
    let (key, other) = (SigningKey::ed25519("d"), SigningKey::ed25519("o"));
    let mut issuer = Issuer::away().await;
    issuer.publish(vec![key.jwk()]);
    let door = Door::of_issuer(&issuer).await;
    let token = key.token(&claims(&issuer.url()));
    for token in [&token, "a.b.c", "x"] {
        let answer = door.bear(token).await;
        answer.problem("away", 503, "unjudged");
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(door.send(&[]).await.status, StatusCode::OK);
    issuer.come().await;
    door.until(&token, 200).await;
    issuer.go().await;
    assert_eq!(door.status(&token).await, 200);
    assert_eq!(
        door.status(&key.token(&with(claims(&issuer.url()), "sub", json!("bob")))).await,
        200
    );
    assert_eq!(door.status(&other.token(&claims(&issuer.url()))).await, 401);
    issuer.publish(vec![other.jwk()]);
    issuer.come().await;
    door.until(&other.token(&claims(&issuer.url())), 200).await;
}

#[tokio::test]
async fn a_configuration_of_another_issuer_is_not_believed() {
    let key = SigningKey::p256("e");
    let issuer = Issuer::with(&[&key]).await;
    let almost = issuer.url().trim_end_matches('/').to_owned();
    let door = Door::of_tokens(KeySource::Discovery(almost.clone()), Some(almost.clone())).await;
    assert_eq!(door.status(&key.token(&claims(&almost))).await, 503);
    // With the keys' address said outright, `iss` is judged all the same.
    let door = Door::of_tokens(KeySource::JwksUrl(issuer.jwks_url()), Some(almost.clone())).await;
    door.until(&key.token(&claims(&almost)), 200).await;
    door.refused("issuer", &key.token(&claims(&issuer.url()))).await;
    // Where none is set, the keys alone are who it is.
    let door = Door::of_tokens(KeySource::JwksUrl(issuer.jwks_url()), None).await;
    door.until(&key.token(&claims("whoever")), 200).await;
}

#[tokio::test]
async fn keys_that_are_weak_or_for_something_else_verify_nothing() {
    let (weak, good) = (SigningKey::rsa("weak", "RS256", 1024), SigningKey::p256("good"));
    let (encrypting, unnamed) =
        (SigningKey::rsa("enc", "RS256", 2048), SigningKey::p256("unnamed"));
    let mut issuer = Issuer::away().await;
    let secret = [7; 32];
    let mut keys = vec![
        weak.jwk(),
        good.jwk(),
        encrypting.jwk(),
        unnamed.jwk(),
        json!({ "kty": "oct", "kid": "secret", "k": base64url(secret) }),
    ];
    keys[2]["use"] = "enc".into();
    keys[3].as_object_mut().unwrap().remove("kid");
    keys.extend([
        json!({}),
        json!("key"),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "off" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
    ]);
    let mut pinned = SigningKey::p256("pinned").jwk();
    pinned["alg"] = "ES384".into();
    keys.push(pinned);
    issuer.publish(keys);
    issuer.come().await;
    let door = Door::of_issuer(&issuer).await;
    let claims = claims(&issuer.url());
    door.until(&good.token(&claims), 200).await;
    door.refused("weak", &weak.token(&claims)).await;
    door.refused("enc", &encrypting.token(&claims)).await;
    door.refused(
        "oct",
        &with_secret(&secret, &json!({ "alg": "HS256", "kid": "secret" }), &claims),
    )
    .await;
    // A key without a name is meant by tokens with any name, and with none.
    assert_eq!(door.status(&unnamed.token(&claims)).await, 200);
    assert_eq!(door.status(&unnamed.sign(&json!({ "alg": "ES256" }), &claims)).await, 200);
}

#[tokio::test]
async fn public_keys_in_a_file_are_taken_and_followed() {
    let (rsa, ed, next) =
        (SigningKey::rsa("r", "RS256", 2048), SigningKey::ed25519("d"), SigningKey::p256("n"));
    let (_folder, path) = file("keys.pem", [rsa.pem(), ed.pem()].concat());
    let door = Door::of_tokens(KeySource::PublicKeyFile(path.clone()), Some("me".to_owned())).await;
    let claims = claims("me");
    assert_eq!(door.status(&rsa.token(&claims)).await, 200);
    assert_eq!(door.status(&ed.token(&claims)).await, 200);
    door.refused("next", &next.token(&claims)).await;
    let forged = with_secret(&rsa.pem(), &json!({ "alg": "HS256" }), &claims);
    door.refused("HS256", &forged).await;
    std::fs::write(&path, next.pem()).unwrap();
    door.until(&next.token(&claims), 200).await;
    door.refused("withdrawn", &rsa.token(&claims)).await;
}

#[tokio::test]
async fn a_secret_takes_hs256_and_nothing_else() {
    let secret = "0123456789abcdef0123456789abcdef";
    let (_folder, path) = file("secret", format!("{secret}\n"));
    let settings = TokenSettings {
        algorithms: vec![Algorithm::HS256],
        ..tokens(KeySource::SecretFile(path), None)
    };
    let door = Door::new(AuthSettings { tokens: Some(settings), api_keys_file: None }).await;
    let claims = claims("whoever");
    let header = json!({ "alg": "HS256" });
    assert_eq!(door.status(&with_secret(secret.as_bytes(), &header, &claims)).await, 200);
    door.refused(
        "another secret",
        &with_secret(b"0123456789abcdef0123456789abcdeF", &header, &claims),
    )
    .await;
    door.refused("HS512", &with_secret(secret.as_bytes(), &json!({ "alg": "HS512" }), &claims))
        .await;
    door.refused("RS256", &SigningKey::rsa("r", "RS256", 2048).token(&claims)).await;
    let unusable = |bytes: &str, keys: fn(PathBuf) -> KeySource| {
        let (_folder, path) = file("key", bytes);
        let auth = AuthSettings { tokens: Some(tokens(keys(path), None)), api_keys_file: None };
        let settings =
            ApiSettings { auth: Some(auth), ..ApiSettings::new("postgres://localhost/none") };
        Api::new(settings).err().unwrap().to_string()
    };
    assert!(unusable("short", KeySource::SecretFile).contains("holds 5 bytes"));
    assert!(unusable("", KeySource::PublicKeyFile).contains("no PEM block"));
    let weak = SigningKey::rsa("w", "RS256", 1024);
    let told = unusable(&String::from_utf8(weak.pem()).unwrap(), KeySource::PublicKeyFile);
    assert!(told.contains("1024 bits"), "{told}");
    let private = weak.key.private_key_to_pem_pkcs8().unwrap();
    let told = unusable(&String::from_utf8(private).unwrap(), KeySource::PublicKeyFile);
    assert!(told.contains("private key"), "{told}");
}

#[tokio::test]
async fn api_keys_are_taken_by_either_header_and_their_file_is_followed() {
    let of = |name: &str, key: &str| {
        let digest: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[keys.{name}]\nsha256 = \"{digest}\"\nroles = [\"staff\"]\n")
    };
    let (_folder, path) = file("keys.toml", of("shop", "vk_one"));
    let issuer = Issuer::away().await;
    let tokens = Some(tokens(KeySource::Discovery(issuer.url()), Some(issuer.url())));
    let door = Door::new(AuthSettings { tokens, api_keys_file: Some(path.clone()) }).await;
    assert_eq!(door.status("vk_one").await, 200, "an issuer that is away is not asked for it");
    assert_eq!(door.send(&[("x-api-key", "vk_one")]).await.status, StatusCode::OK);
    assert_eq!(door.send(&[("x-api-key", "vk_two")]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(door.status("vk_two").await, 503, "it may be a token");
    for both in [
        [("x-api-key", "vk_one"), ("authorization", "Bearer vk_one")],
        [("authorization", "Bearer vk_one"), ("authorization", "Bearer vk_one")],
        [("x-api-key", "vk_one"), ("x-api-key", "vk_one")],
        [("x-api-key", "vk_one"), ("authorization", "Basic YTpi")],
    ] {
        door.send(&both).await.problem("both", 401, "invalid-credential");
    }
    let inside = Request::get("/v1/views?access_token=vk_one").body(Body::empty()).unwrap();
    Answer::to(door.router.clone(), inside).await.problem("address", 400, "unknown-parameter");

    std::fs::write(&path, of("shop", "vk_two")).unwrap();
    door.until("vk_two", 200).await;
    assert_eq!(door.send(&[("x-api-key", "vk_one")]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_brings_its_roles_and_claims_along() {
    let key = SigningKey::p256("e");
    let issuer = Issuer::with(&[&key]).await;
    let settings = TokenSettings {
        roles_claim: "realm_access.roles".to_owned(),
        ..tokens(KeySource::Discovery(issuer.url()), Some(issuer.url()))
    };
    let mut door = Door::new(AuthSettings { tokens: Some(settings), api_keys_file: None }).await;
    let own = json!({ "pieces": [{ "sql": "t.carrier = " }, { "claim": "carrier" }], "columns": ["carrier"], "constant": [] });
    let rights = json!({ "flight": {
        "grants": [{ "roles": [{ "named": "crew" }], "columns": ["flight_id", "carrier"] }],
        "policies": [{ "roles": ["public"], "using": own }],
    } });
    let granted = format!(
        "INSERT INTO vitrina.rights VALUES ('flight', 0, '{rights}'), ('flight', 1, '{rights}')"
    );
    door.stage.run(&granted).await;
    let of = |roles: Value, carrier: &str| {
        let claims = with(claims(&issuer.url()), "realm_access", json!({ "roles": roles }));
        key.token(&with(claims, "carrier", json!(carrier)))
    };
    door.until(&of(json!(["crew"]), "BA"), 200).await;
    for (token, status, rows) in [
        (of(json!(["crew"]), "BA"), 200, json!([{ "flight_id": "F3", "carrier": "BA" }])),
        (of(json!(["other", "crew"]), "AF"), 200, json!([])),
        (of(json!("cabin crew"), "BA"), 200, json!([{ "flight_id": "F3", "carrier": "BA" }])),
        (of(json!(["Crew"]), "BA"), 404, json!(null)),
        (of(json!(["public"]), "BA"), 404, json!(null)),
        (of(json!([["crew"]]), "BA"), 404, json!(null)),
    ] {
        let request =
            Request::get("/v1/views/flight").header("authorization", format!("Bearer {token}"));
        let answer = Answer::to(door.router.clone(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["data"]),
            (status, &rows),
            "{}",
            answer.text
        );
    }
    let anonymous = Request::get("/v1/views/flight").body(Body::empty()).unwrap();
    Answer::to(door.router.clone(), anonymous).await.problem("nobody", 401, "unauthorized");
}

#[test]
fn refusals_are_counted_by_reason_and_nothing_of_them_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let key = SigningKey::p256("e");
            let issuer = Issuer::with(&[&key]).await;
            let door = Door::of_issuer(&issuer).await;
            door.until(&key.token(&claims(&issuer.url())), 200).await;
            for _ in 0..2 {
                door.refused("expired", &key.token(&with(claims(&issuer.url()), "exp", json!(1))))
                    .await;
            }
            door.refused("malformed", "s3cret").await;
        });
    });
    let text = handle.render();
    for line in [
        format!("{AUTHENTICATION_FAILURES_TOTAL}{{reason=\"expired\"}} 2"),
        format!("{AUTHENTICATION_FAILURES_TOTAL}{{reason=\"malformed\"}} 1"),
        format!("{KEY_FETCHES_TOTAL}{{outcome=\"ok\"}} 1"),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn without_an_auth_nobody_is_asked_and_probes_are_open_with_one() {
    let stage = Stage::flight().await;
    let request = Request::get("/v1/views").header("authorization", "Bearer nonsense");
    assert_eq!(stage.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    let issuer = Issuer::away().await;
    let door = Door::of_issuer(&issuer).await;
    for probe in ["/livez", "/readyz"] {
        let request = Request::get(probe).header("authorization", "Bearer nonsense");
        let answer = Answer::to(door.router.clone(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{probe}");
    }
    for route in ["/v1/views", "/v1/views/flight", "/v1/views/flight/F1", "/v1/schemas/flight"] {
        let request = Request::get(route).header("authorization", "Basic YTpi");
        let answer = Answer::to(door.router.clone(), request.body(Body::empty()).unwrap()).await;
        answer.problem(route, 401, "invalid-credential");
    }
}
