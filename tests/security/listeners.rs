//! The service's own listeners: HTTPS on both, with a certificate that may be changed while it runs.

use std::net::SocketAddr;

use reqwest::{Certificate, Client};

use super::bank;
use crate::support::{Authority, Database, Folder, Issued, PATIENCE, Stack, eventually};

fn write(folder: Folder, issued: &Issued) -> Folder {
    folder.write("tls.crt", &issued.cert).write("tls.key", &issued.key)
}

async fn folder(authority: &Authority) -> Folder {
    let (stack, database) = (Stack::get(), Database::create().await);
    let folder = bank("secure", &stack.kafka, &stack.registry, &database.url);
    let settings = folder.settings();
    let tls = "[http]\ntls_cert = \"tls.crt\"\ntls_key = \"tls.key\"\n";
    let folder = folder.write("vitrina.toml", &settings.replace("[http]\n", tls));
    write(folder, &authority.issue("first"))
}

async fn status(address: SocketAddr, path: &str, authority: &Authority) -> Result<u16, String> {
    let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([root]).build().unwrap();
    let answer = client.get(format!("https://{address}{path}")).send().await;
    answer.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn https_on_both_with_a_certificate_that_changes_while_it_runs() {
    let (first, second) = (Authority::new(), Authority::new());
    let folder = folder(&first).await;
    let serving = folder.serve();
    let (listen, admin) = (folder.listen, folder.admin_listen);
    for (address, path) in [(listen, "/readyz"), (admin, "/readyz"), (admin, "/admin/v1/models")] {
        eventually(PATIENCE, async || match status(address, path, &first).await {
            Ok(200) => Ok(()),
            other => Err(format!("{other:?}; it wrote: {}", serving.stderr())),
        })
        .await;
    }
    assert!(serving.stderr().contains(&format!("https://{listen}")), "{}", serving.stderr());

    let folder = write(folder, &second.issue_until("second", 3));
    serving.hang_up();
    eventually(PATIENCE, async || status(listen, "/livez", &second).await).await;
    eventually(PATIENCE, async || match serving.stderr() {
        said if said.contains("tls.crt (http.tls_cert) expires on 20") => Ok(()),
        said => Err(said),
    })
    .await;
    assert!(status(admin, "/livez", &first).await.is_err());

    let folder = folder.write("tls.key", &first.issue("third").key);
    serving.hang_up();
    eventually(PATIENCE, async || match serving.stderr() {
        said if said.contains("show the old certificate on")
            && said.contains("does not belong") =>
        {
            Ok(())
        }
        said => Err(said),
    })
    .await;
    assert_eq!(status(listen, "/livez", &second).await, Ok(200));
    assert!(serving.terminate().await.success());

    // What is wrong from the start ends it, before anything is listened to.
    let refused = folder.run(&["serve"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    let expected = ["tls.key (http.tls_key) does not belong to", "tls.crt (http.tls_cert)"];
    assert!(expected.iter().all(|words| refused.stderr.contains(words)), "{refused:?}");
    let settings = folder.settings().replace("tls_key = \"tls.key\"\n", "");
    let refused = folder.write("vitrina.toml", &settings).run(&["serve"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("http.tls_cert has no key: set http.tls_key"), "{refused:?}");
}

/// Whoever only answers queries is told to read again, too, and has nothing to read.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_read_again_ends_nobody() {
    let (stack, database) = (Stack::get(), Database::create().await);
    let folder = bank("secure", &stack.kafka, &stack.registry, &database.url);
    let serving = crate::support::Vitrina::start(
        folder.command(&["serve", "--only", "query"]),
        folder.listen,
        folder.admin_listen,
    );
    eventually(PATIENCE, async || match serving.stderr() {
        said if said.contains("listening on http://") => Ok(()),
        said => Err(said),
    })
    .await;
    serving.hang_up();
    assert_eq!(serving.get("/livez").await.status, 200);
    assert!(serving.terminate().await.success());
}
