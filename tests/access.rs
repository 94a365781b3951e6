//! Whom the real binary lets in, and what a start says of that.

use crate::support::{Database, Folder, PATIENCE, Vitrina, eventually};

const QUERY: [&str; 3] = ["serve", "--only", "query"];
const LOUD: &str = "MAY READ ALL VIEWS";

async fn until_written(vitrina: &Vitrina, text: &str) {
    eventually(PATIENCE, async || match vitrina.stderr() {
        written if written.contains(text) => Ok(()),
        written => Err(format!("{text} is not in\n{written}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_names_a_file_of_auth_that_cannot_be_used() {
    let database = Database::create().await;
    let auth = "[auth]\nsecret_file = \"secret\"\naudience = \"vitrina\"";
    let folder = Folder::new(&database).configure(auth);
    let missing = folder.run(&QUERY);
    assert_eq!(missing.status, Some(2), "{missing:?}");
    let expected = "vitrina.toml:15: auth.secret_file: secret cannot be read";
    assert!(missing.stderr.contains(expected), "{}", missing.stderr);
    let folder = folder.write("secret", &"s".repeat(32));
    let vitrina = Vitrina::start(folder.command(&QUERY), folder.listen, folder.admin_listen);
    until_written(&vitrina, &format!("http://{}", folder.listen)).await;
    let forged =
        vitrina.get_with("/v1/views", &[("authorization", "Bearer s3cret.s3cret.s3cret")]).await;
    assert_eq!(
        (forged.status, &forged.body["type"]),
        (401, &"/problems/invalid-credential".into())
    );
    assert!(!vitrina.stderr().contains("s3cret"), "{}", vitrina.stderr());
    assert!(vitrina.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_loudly_where_whoever_comes_may_read_all() {
    let database = Database::create().await;
    for (address, is_loud) in [("0.0.0.0", true), ("127.0.0.1", false)] {
        let folder = Folder::new(&database);
        let listen = format!("{address}:{}", folder.listen.port());
        let mut command = folder.command(&QUERY);
        command.env("VITRINA_HTTP__LISTEN", &listen);
        let vitrina = Vitrina::start(command, folder.listen, folder.admin_listen);
        until_written(&vitrina, &format!("http://{listen}")).await;
        assert_eq!(vitrina.stderr().contains(LOUD), is_loud, "{}", vitrina.stderr());
        assert!(vitrina.terminate().await.success());
    }
}
