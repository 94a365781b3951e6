//! A guarded service from outside: the real binary, tokens of three kinds, and readers who see a part each.

use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, OPENED_V2};
use crate::scene::{until_live, write_model};
use crate::support::{Answer, Database, Folder, PATIENCE, Producer, Vitrina, eventually};

const ISSUER: &str = "https://id.example.org/";
const SECRET: &str = "a secret of 32 bytes or even more";

/// Accounts are for their holders and for staff; how many there are in a country is for everyone.
const RIGHTS: &str = "
CREATE TABLE country (country text PRIMARY KEY, accounts bigint NOT NULL);
INSERT INTO country AS c (country, accounts) SELECT e.country, 1 FROM bank.account_opened e
ON CONFLICT (country) DO UPDATE SET accounts = c.accounts + EXCLUDED.accounts;

GRANT SELECT ON balance TO staff;
GRANT SELECT (account_id, country, amount) ON balance TO customer;
GRANT SELECT ON country TO PUBLIC;
CREATE POLICY every ON balance FOR SELECT TO staff USING (true);
CREATE POLICY own ON balance FOR SELECT TO customer USING (holder = claim('sub'));
";

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    encode_block(bytes.as_ref()).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn public(key: &PKey<Private>) -> String {
    String::from_utf8(key.public_key_to_pem().unwrap()).unwrap()
}

/// Signed by what the algorithm's name says, whatever the key is.
fn token(algorithm: &str, key: &PKey<Private>, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
    format!("{message}.{}", base64url(signature))
}

/// Whoever has this name and this role, for ten minutes from now on.
fn claims(sub: &str, role: &str) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    json!({ "iss": ISSUER, "aud": ["vitrina"], "sub": sub, "exp": now + 600, "realm": { "roles": [role] } })
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn api_keys(key: &str) -> String {
    let digest: String = sha256(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[keys.desk]\nsha256 = \"{digest}\"\nroles = [\"staff\"]\n")
}

async fn bear(vitrina: &Vitrina, path: &str, token: &str) -> Answer {
    vitrina.get_with(path, &[("authorization", &format!("Bearer {token}"))]).await
}

async fn until(vitrina: &Vitrina, path: &str, token: &str, status: u16) -> Answer {
    eventually(PATIENCE, async || match bear(vitrina, path, token).await {
        answer if answer.status == status => Ok(answer),
        answer => Err(format!("{answer}, not {status}")),
    })
    .await
}

fn assert_problem(answer: &Answer, status: u16, slug: &str, what: &str) {
    let found = (answer.status, &answer.body["type"]);
    assert_eq!(found, (status, &format!("/problems/{slug}").into()), "{what}: {answer}");
    let challenge = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
    let begins = challenge.is_some_and(|challenge| challenge.starts_with("Bearer"));
    assert_eq!(begins, status == 401, "{what}: {challenge:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_what_their_credentials_say() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let (key, next_key, foreign) = (rsa(), rsa(), rsa());
    let auth = format!(
        "[auth]\nissuer = \"{ISSUER}\"\naudience = \"vitrina\"\npublic_key_file = \"keys.pem\"\n\
         roles_claim = \"realm.roles\"\napi_keys_file = \"api-keys.toml\""
    );
    let folder = bank.folder.configure(&auth).write("keys.pem", &public(&key));
    let bank = Bank { folder: folder.write("api-keys.toml", &api_keys("desk-1")), ..bank };
    write_model(&bank, &format!("{MODEL}{RIGHTS}"));
    let writer = bank.writer(OPENED_V2).await;
    let accounts = [("a1", "ann"), ("a2", "bob"), ("a3", "ann")];
    let events = accounts.map(|(account, holder)| {
        let value = json!({ "account_id": account, "holder": holder, "country": "FR" });
        writer.event(account, &value).header("ce_id", account)
    });
    Producer::new().send_all(&events).await;
    let command = bank.folder.command(&["serve", "--watch"]);
    let vitrina = Vitrina::start(command, bank.folder.listen, bank.folder.admin_listen);
    until_live(&database, 1).await;
    vitrina
        .eventually("/v1/views/balance.country", &json!([{ "country": "FR", "accounts": 3 }]))
        .await;

    // Who sees what.
    let of = |key: &PKey<Private>, sub: &str, role: &str| token("RS256", key, &claims(sub, role));
    let (ann, staff) = (of(&key, "ann", "customer"), of(&key, "sue", "staff"));
    let own = bear(&vitrina, "/v1/views/balance", &ann).await;
    let nothing: Value = serde_json::from_str("0.00").unwrap();
    let row = |account: &str| json!({ "account_id": account, "country": "FR", "amount": nothing });
    assert_eq!(own.body["data"], json!([row("a1"), row("a3")]), "{own}");
    let all = bear(&vitrina, "/v1/views/balance?select=account_id,holder", &staff).await;
    let all_rows =
        accounts.map(|(account, holder)| json!({ "account_id": account, "holder": holder }));
    assert_eq!(all.body["data"], json!(all_rows), "{all}");
    for (path, status, slug) in [
        ("/v1/views/balance/a1", 200, ""),
        ("/v1/views/balance/a2", 404, "not-found"),
        ("/v1/views/balance/a9", 404, "not-found"),
        ("/v1/views/balance?holder=eq.bob", 400, "unknown-parameter"),
        ("/v1/views/balance?select=holder", 400, "bad-value"),
        ("/v1/views/balance?order=holder", 400, "bad-value"),
    ] {
        let answer = bear(&vitrina, path, &ann).await;
        match slug {
            "" => assert_eq!(answer.status, status, "{path}: {answer}"),
            slug => assert_problem(&answer, status, slug, path),
        }
    }
    // What a page of one reader says is no page of another's.
    let page = bear(&vitrina, "/v1/views/balance?limit=1", &ann).await;
    let next = page.body["page"]["next"].as_str().unwrap();
    assert_eq!(bear(&vitrina, next, &ann).await.body["data"], json!([row("a3")]));
    for other in [&of(&key, "bob", "customer"), &staff] {
        assert_problem(&bear(&vitrina, next, other).await, 400, "cursor-mismatch", "another's");
    }
    let stranger = of(&key, "ann", "stranger");
    assert_problem(&bear(&vitrina, "/v1/views/balance", &stranger).await, 404, "unknown-view", "");
    assert_problem(&vitrina.get("/v1/views/balance").await, 401, "unauthorized", "no token");
    assert_problem(&vitrina.get("/v1/views/nowhere").await, 401, "unauthorized", "no token");

    // Who is nobody.
    let claims_of_ann = claims("ann", "customer");
    let public_as_secret = PKey::hmac(public(&key).as_bytes()).unwrap();
    for (what, token) in [
        ("a foreign key", token("RS256", &foreign, &claims_of_ann)),
        ("a public key as a secret", token("HS256", &public_as_secret, &claims_of_ann)),
        ("no algorithm", token("none", &key, &claims_of_ann)),
        ("another algorithm", token("RS512", &key, &claims_of_ann)),
        ("expired", token("RS256", &key, &with(claims_of_ann.clone(), "exp", 1))),
        ("early", token("RS256", &key, &with(claims_of_ann.clone(), "nbf", 9_999_999_999u64))),
        ("for another", token("RS256", &key, &with(claims_of_ann.clone(), "aud", "vitrine"))),
        ("of another", token("RS256", &key, &with(claims_of_ann.clone(), "iss", "https://id"))),
        ("no token", "desk-2".to_owned()),
    ] {
        // Nor do they see what is everyone's.
        for path in ["/v1/views/balance", "/v1/views/balance.country", "/v1/views", "/docs"] {
            assert_problem(&bear(&vitrina, path, &token).await, 401, "invalid-credential", what);
        }
    }
    let desk = [("x-api-key", "desk-1")];
    assert_eq!(
        vitrina.get_with("/v1/views/balance", &desk).await.body["data"].as_array().unwrap().len(),
        3
    );
    assert_eq!(bear(&vitrina, "/v1/views/balance/a2", "desk-1").await.status, 200);
    let both = [desk[0], ("authorization", &format!("Bearer {staff}"))];
    let both = vitrina.get_with("/v1/views/balance", &both).await;
    assert_problem(&both, 401, "invalid-credential", "two credentials");

    // Keys change while it runs, and a file that makes no sense changes nothing.
    let keys =
        |name: &str, text: &str| std::fs::write(bank.folder.path().join(name), text).unwrap();
    let of_next = of(&next_key, "ann", "customer");
    assert_eq!(bear(&vitrina, "/v1/views/balance", &of_next).await.status, 401);
    keys("keys.pem", &format!("{}{}", public(&key), public(&next_key)));
    keys("api-keys.toml", &api_keys("desk-2"));
    for token in [&of_next, "desk-2"] {
        until(&vitrina, "/v1/views/balance", token, 200).await;
    }
    assert_eq!(bear(&vitrina, "/v1/views/balance", &ann).await.status, 200);
    assert_eq!(bear(&vitrina, "/v1/views/balance", "desk-1").await.status, 401);
    keys("keys.pem", "-----BEGIN");
    eventually(PATIENCE, async || match vitrina.stderr() {
        said if said.contains("(auth.public_key_file)") && said.contains("goes on to hold") => {
            Ok(())
        }
        said => Err(said),
    })
    .await;
    assert_eq!(bear(&vitrina, "/v1/views/balance", &of_next).await.status, 200);

    // An instance with nothing but Postgres and a secret: the same rights, and tokens of its own kind alone.
    let auth =
        "[auth]\nsecret_file = \"secret\"\naudience = \"vitrina\"\nroles_claim = \"realm.roles\"";
    let beside = Folder::new(&database).configure(auth).write("secret", SECRET);
    let command = beside.command(&["serve", "--only", "query"]);
    let reader = Vitrina::start(command, beside.listen, beside.admin_listen);
    reader.ready().await;
    let secret = PKey::hmac(SECRET.as_bytes()).unwrap();
    let ann_here = token("HS256", &secret, &claims_of_ann);
    assert_eq!(bear(&reader, "/v1/views/balance", &ann_here).await.body["data"], own.body["data"]);
    for foreign in [&ann, &staff, "desk-2"] {
        let answer = bear(&reader, "/v1/views/balance", foreign).await;
        assert_problem(&answer, 401, "invalid-credential", "of the other instance");
    }

    // What the file takes back is gone everywhere.
    let less =
        RIGHTS.replace("GRANT SELECT (account_id, country, amount) ON balance TO customer;", "");
    let less = less.replace(
        "CREATE POLICY own ON balance FOR SELECT TO customer USING (holder = claim('sub'));",
        "",
    );
    write_model(&bank, &format!("{MODEL}{less}"));
    until(&vitrina, "/v1/views/balance", &ann, 404).await;
    until(&reader, "/v1/views/balance", &ann_here, 404).await;
    assert_eq!(bear(&vitrina, "/v1/views/balance", &staff).await.status, 200);
    for credential in [&ann, &staff, "desk-1", "desk-2", SECRET] {
        assert!(
            !(vitrina.stderr() + &reader.stderr()).contains(credential),
            "a credential is logged"
        );
    }
    assert!(vitrina.terminate().await.success() && reader.terminate().await.success());
}
