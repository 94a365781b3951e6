//! The tutorial is run as it is written: every command of the page in its order, in one shell, and what the page says that
//! it answers must come.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Database, Stack, free_address, unique};

/// A block of commands, and the lines that stand below it.
struct Step {
    commands: String,
    answers: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tutorial_does_what_the_page_says() {
    let database = Database::create().await;
    let topic = unique("loans.events");
    let (listen, admin) = (free_address().to_string(), free_address().to_string());
    let Stack { kafka, registry, .. } = Stack::get();
    // What is each reader's own.
    let own = [
        ("http://localhost:8081/apis/ccompat/v7", registry.as_str()),
        ("postgres://vitrina:vitrina@localhost/vitrina", &database.url),
        ("localhost:9092", kafka),
        ("127.0.0.1:8080", &listen),
        ("127.0.0.1:8082", &admin),
        ("loans.events", &topic),
    ];
    let page =
        own.iter().fold(include_str!("../docs/tutorial.md").to_owned(), |page, (from, to)| {
            page.replace(from, to)
        });
    let steps = steps(&page);
    assert!(steps.len() > 10, "{}", steps.len());
    let folder = tempfile::TempDir::new().unwrap();
    let mut script =
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        writeln!(script, "echo '{}'\n{}", mark(number), step.commands).unwrap();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_vitrina")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = tokio::task::spawn_blocking(move || {
        Command::new("timeout")
            .args(["240", "bash", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", path)
            .env("VITRINA_KAFKA__GROUP_PREFIX", unique("group"))
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .output()
            .map(|output| (output, folder))
    });
    let (output, _folder) = output.await.unwrap().unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    let mut rest = &*said;
    for (number, step) in steps.iter().enumerate() {
        let (_, behind) = rest.split_once(&format!("{}\n", mark(number))).unwrap();
        let own = behind.split_once(&mark(number + 1)).map_or(behind, |(own, _)| own);
        rest = behind;
        for answer in &step.answers {
            assert!(
                own.contains(answer),
                "{answer}\nis not what came of\n{}\n{own}\n{errors}",
                step.commands
            );
        }
    }
}

fn mark(step: usize) -> String {
    format!("@@ step {step} @@")
}

/// The blocks of the page: `sh` is run, and `text` is what comes of the block before it.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("\n```").skip(1) {
        match block.split_once('\n') {
            Some(("sh", commands)) => {
                steps.push(Step { commands: commands.to_owned(), answers: Vec::new() });
            }
            Some(("text", answers)) => {
                steps.last_mut().unwrap().answers.extend(answers.lines().map(str::to_owned));
            }
            _ => {}
        }
    }
    steps
}
