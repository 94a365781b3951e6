//! Kafka over TLS, as a user with a password and as one with a certificate.

use serde_json::json;

use super::{MOVE, bank, documented};
use crate::support::{
    Authority, Database, Folder, PATIENCE, Stack, eventually, kafka_tool, unique,
};

/// By SCRAM-SHA-512, as the one who projects.
const SCRAM: &str = r#"
"security.protocol" = "sasl_ssl"
"ssl.ca.location" = "ca.pem"
"sasl.mechanisms" = "SCRAM-SHA-512"
"sasl.username" = "scram"
"sasl.password" = "scram-secret"
"#;
/// By PLAIN, as a producer.
const PLAIN: &str = r#"
"security.protocol" = "sasl_ssl"
"ssl.ca.location" = "ca.pem"
"sasl.mechanisms" = "PLAIN"
"sasl.username" = "plain"
"sasl.password" = "plain-secret"
"#;
/// By a certificate.
const MUTUAL: &str = r#"
"security.protocol" = "ssl"
"ssl.ca.location" = "ca.pem"
"ssl.certificate.location" = "client.crt"
"ssl.key.location" = "client.key"
"#;

const ACLS: &str = "org.apache.kafka.tools.AclCommand";

/// Runs the documented commands: what projectors may do is granted to both of the users that read here.
fn grant(topic: &str, prefix: &str) {
    let commands = documented("sh", "kafka-acls.sh --bootstrap-server BROKER");
    let commands = commands
        .replace("User:vitrina", "User:scram --allow-principal User:CN=client")
        .replace("User:orders", "User:plain")
        .replace("--group vitrina.", &format!("--group {prefix}."))
        .replace("orders.events", topic);
    std::thread::scope(|scope| {
        for command in commands.lines() {
            let arguments =
                command.strip_prefix("kafka-acls.sh --bootstrap-server BROKER ").unwrap();
            let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            scope.spawn(move || {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                kafka_tool(ACLS, &arguments);
            });
        }
    });
}

fn folder(topic: &str, kafka: &str, properties: &str, database: &Database) -> Folder {
    let client = Authority::read(&Stack::get().tls).issue("client");
    bank(topic, kafka, &Stack::get().registry, &database.url)
        .configure(&format!("[kafka.properties]{properties}"))
        .write("ca.pem", &Authority::read(&Stack::get().tls).pem())
        .write("client.crt", &client.cert)
        .write("client.key", &client.key)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_certificates_with_no_more_rights_than_documented() {
    let (topic, prefix, stack) = (unique("secure"), unique("group"), Stack::get());
    let (first, second) = (Database::create().await, Database::create().await);
    let granted = |folder: Folder, name: &str| {
        let (settings, own) = (folder.settings(), folder.group_prefix.clone());
        folder.write("vitrina.toml", &settings.replace(&own, &format!("{prefix}.{name}")))
    };
    let by_password = granted(folder(&topic, &stack.kafka_sasl, SCRAM, &first), "password");
    let producer = folder(&topic, &stack.kafka_sasl, PLAIN, &first);

    let refused = producer.run_with(&["publish", "bank.amount_moved"], MOVE);
    assert!(refused.stderr.contains("does not allow Vitrina to write to topic"), "{refused:?}");
    grant(&topic, &prefix);
    let published = producer.run_with(&["publish", "bank.amount_moved"], MOVE);
    assert_eq!(published.status, Some(0), "{published:?}");

    let serving = by_password.serve();
    let row = json!([{"account_id": "a", "events": 1}]);
    first.eventually("SELECT * FROM balance.balance", &row).await;
    let rebuilt = by_password.run(&["rebuild", "balance", "--wait"]);
    assert_eq!(rebuilt.status, Some(0), "{rebuilt:?}");
    let building = format!("{prefix}.password.balance.building");
    eventually(PATIENCE, async || {
        let groups =
            kafka_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"]);
        if groups.contains(&building) { Err(groups) } else { Ok(()) }
    })
    .await;
    // Without this one right nobody knows what a rebuild would lack.
    let revoke = [
        "--remove",
        "--force",
        "--allow-principal",
        "User:scram",
        "--operation",
        "DescribeConfigs",
    ];
    kafka_tool(ACLS, &[&revoke[..], &["--topic", &topic]].concat());
    let refused = by_password.run(&["rebuild", "balance", "--wait"]);
    assert_eq!(refused.status, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("allow DescribeConfigs on it"), "{refused:?}");
    assert!(serving.terminate().await.success());

    let by_certificate = folder(&topic, &stack.kafka_mutual, MUTUAL, &second);
    let serving = by_certificate.serve();
    eventually(PATIENCE, async || {
        let status = by_certificate.run(&["status", "--json"]).stdout;
        if status.contains("Kafka refuses group") { Ok(()) } else { Err(status) }
    })
    .await;
    assert!(serving.terminate().await.success());
    let third = Database::create().await;
    let by_certificate =
        granted(folder(&topic, &stack.kafka_mutual, MUTUAL, &third), "certificate");
    let serving = by_certificate.serve();
    third.eventually("SELECT * FROM balance.balance", &row).await;
    assert!(serving.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_wrongly_is_said_in_one_sentence() {
    let (topic, stack) = (unique("secure"), Stack::get());
    let database = Database::create().await;
    let (sasl, mutual) = (&stack.kafka_sasl, &stack.kafka_mutual);
    let foreign = Authority::new();
    let cases = [
        (sasl, SCRAM.replace("scram-secret", "wrong"), "does not let Vitrina in", "sasl.password"),
        (
            sasl,
            PLAIN.replace("\"plain\"", "\"nobody\""),
            "does not let Vitrina in",
            "sasl.username",
        ),
        (
            sasl,
            SCRAM.replace("ca.pem", "foreign.pem"),
            "gives no TLS connection",
            "ssl.ca.location",
        ),
        (sasl, SCRAM.replace("sasl_ssl", "sasl_plaintext"), "hangs up", "security.protocol"),
        (
            &stack.kafka,
            SCRAM.replace("sasl_ssl", "ssl"),
            "gives no TLS connection",
            "security.protocol",
        ),
        (
            mutual,
            MUTUAL.replace("client.", "foreign."),
            "gives no TLS connection",
            "ssl.certificate.location",
        ),
        (
            mutual,
            MUTUAL.lines().take(3).collect::<Vec<_>>().join("\n"),
            "gives no TLS connection",
            "ssl.certificate.location",
        ),
    ];
    let stranger = foreign.issue("client");
    std::thread::scope(|scope| {
        for (kafka, properties, what, setting) in cases {
            let folder = folder(&topic, kafka, &properties, &database)
                .write("foreign.pem", &foreign.pem())
                .write("foreign.crt", &stranger.cert)
                .write("foreign.key", &stranger.key);
            scope.spawn(move || {
                let refused = folder.run_with(&["publish", "bank.amount_moved"], MOVE);
                let said = &refused.stderr;
                assert_eq!(refused.status, Some(1), "{refused:?}");
                assert_eq!(said.trim().lines().count(), 1, "{said}");
                let expected = [&format!("Kafka at {kafka} (kafka.brokers)"), what, setting];
                assert!(
                    expected.iter().all(|words| said.contains(words)),
                    "{what}, {setting}: {said}"
                );
                assert!(!said.contains("secret"), "{said}");
            });
        }
    });
    let missing = folder(&topic, sasl, &SCRAM.replace("ca.pem", "nowhere.pem"), &database);
    let refused = missing.run(&["status"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("kafka.properties.ssl.ca.location names"), "{refused:?}");
    assert!(refused.stderr.contains("nowhere.pem, which cannot be read"), "{refused:?}");

    // The same while it runs: the model waits, and says for what.
    let wrong = folder(&topic, sasl, &SCRAM.replace("scram-secret", "wrong"), &database);
    let waiting = wrong.serve();
    eventually(PATIENCE, async || match waiting.stderr() {
        said if said.contains("does not let Vitrina in") => Ok(()),
        said => Err(said),
    })
    .await;
    assert!(waiting.terminate().await.success());
}
