//! What holds at a swap: nothing that readers have seen is lost, nothing that was not found equal goes live where equal rows
//! decide, and room is made for who is live.

use serde_json::{Value, json};

use crate::bank::{Bank, MODEL, MOVED, Oracle, WITNESS, moved};
use crate::scene::{Scene, moves, states, until_live, write_model};
use crate::support::{Database, PATIENCE, Producer, eventually};

/// Notes how each batch of a generation is committed, and whether readers see the generation then.
const COMMITS: &str = r#"
    CREATE TABLE public.commits (pid int, live boolean, mode text);
    CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.commits
        SELECT pg_backend_pid(), live = 2, current_setting('synchronous_commit') FROM vitrina.model;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER UPDATE OF next_offset ON "balance@2"."@position"
        FOR EACH STATEMENT EXECUTE FUNCTION public.note()"#;

#[tokio::test(flavor = "multi_thread")]
async fn commits_wait_for_the_disk_from_the_swap_on() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 2).await;
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    Producer::new().send_all(&moves(&writer, &mut oracle, 0, 1_000)).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
    assert_eq!(bank.folder.run(&["rebuild", "balance"]).status, Some(0));
    database.execute(COMMITS).await;
    let vitrina = bank.folder.serve();
    // Events come all the time, so whoever built the generation feeds it on until the model's own group has claimed.
    let producer = Producer::new();
    let mut from = 1_000;
    eventually(PATIENCE, async || {
        producer.send_all(&moves(&writer, &mut oracle, from, 20)).await;
        from += 20;
        let both = "SELECT pid FROM public.commits GROUP BY pid HAVING bool_or(live) AND NOT bool_and(live)";
        match database.rows(both).await.as_array().unwrap().len() {
            0 => Err("nobody wrote before the swap and behind it"),
            _ => Ok(()),
        }
    })
    .await;
    database.eventually(WITNESS, &oracle.rows()).await;
    let modes = "SELECT DISTINCT live, mode FROM public.commits ORDER BY 1";
    let expected = json!([{"live": false, "mode": "off"}, {"live": true, "mode": "on"}]);
    assert_eq!(database.rows(modes).await, expected);
    assert!(vitrina.terminate().await.success());
}

/// For sessions that begin from now on.
async fn set(database: &Database, setting: &str) {
    let alter = format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {setting}', current_database()); END $$"
    );
    database.execute(&alter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_waits_and_is_compared_again() {
    let database = Database::create().await;
    let bank = Bank::new(&database, 1).await;
    let settings = "[model]\nmax_events = 20\n[models.balance]\nswap = \"when_equal\"";
    let bank = Bank { folder: bank.folder.configure(settings), ..bank };
    let writer = bank.writer(MOVED).await;
    let mut oracle = Oracle::default();
    let moves: Vec<_> = (0..10_000)
        .map(|number| {
            let account = format!("a{number:05}");
            oracle.moved(&account, 1, 5);
            moved(&writer, &account, 1, 5)
        })
        .collect();
    Producer::new().send_all(&moves).await;
    let vitrina = bank.folder.serve();
    database.eventually(WITNESS, &oracle.rows()).await;
    assert!(vitrina.terminate().await.success());
    assert_eq!(bank.folder.run(&["rebuild", "balance", "--as-live"]).status, Some(0));
    // A small batch has room, and a join of both tables has not.
    for setting in ["SET work_mem = 64", "SET temp_file_limit = 200"] {
        set(&database, setting).await;
    }
    let vitrina = bank.folder.serve();
    let built = eventually(PATIENCE, async || {
        let status = bank.folder.run(&["status", "--json"]).json();
        let built = status["models"][0]["generations"][0].clone();
        let reason = built["reason"].as_str().unwrap_or_default();
        let told = reason.contains("it cannot be compared with balance@1, which is tried again");
        if told { Ok(built) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!((&built["generation"], &built["state"]), (&json!(2), &json!("building")));
    assert_eq!(built["comparison"], Value::Null);
    set(&database, "RESET temp_file_limit").await;
    until_live(&database, 2).await;
    let compared =
        "SELECT comparison -> 0 ->> 'equal' AS equal FROM vitrina.generation WHERE generation = 2";
    assert_eq!(database.rows(compared).await, json!([{"equal": "true"}]));
    assert!(vitrina.terminate().await.success());
}

/// Whether a writer of the live generation finds no disk, by a trigger.
const FULL: &str = r#"
    CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: no space left on device' USING ERRCODE = '53100';
    END $$;
    CREATE TRIGGER "full" BEFORE UPDATE OF next_offset ON "balance@1"."@position"
        FOR EACH STATEMENT EXECUTE FUNCTION public.full()"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_build_stands_still_while_the_live_generation_finds_no_room() {
    let mut scene = Scene::of("[model]\nmax_events = 1", 1, 600).await;
    scene.database.execute(FULL).await;
    Producer::new().send_all(&moves(&scene.writer, &mut scene.oracle, 600, 20)).await;
    eventually(PATIENCE, async || {
        let status = scene.folder().run(&["status", "--json"]).json();
        let model = &status["models"][0];
        let full = model["state"] == "waiting" && model["reason"].to_string().contains("[53100]");
        if full { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    scene.yes(&["rebuild", "balance", "--as-live"]);
    let standing = scene.until_waits(2, "makes room for a live generation: balance: ").await;
    let still = scene.until_waits(2, "makes room for a live generation: balance: ").await;
    assert_eq!(standing["done"], still["done"], "{standing} {still}");
    scene.database.execute(r#"DROP TRIGGER "full" ON "balance@1"."@position""#).await;
    until_live(&scene.database, 2).await;
    scene.database.eventually(WITNESS, &scene.oracle.rows()).await;
    scene.end().await;
}

/// Another model's instance that says how far behind it is.
fn behind(lag_ms: i64) -> String {
    format!(
        "INSERT INTO vitrina.worker (model, generation, instance, state, lag_ms, updated_at)
         VALUES ('other', 1, 'other', 'catching_up', {lag_ms}, now() + interval '1 day')
         ON CONFLICT (model, instance) DO UPDATE SET lag_ms = EXCLUDED.lag_ms"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_says_that_it_makes_room_and_goes_on() {
    let scene = Scene::of("[model]\nmax_events = 1", 1, 600).await;
    scene.database.execute(&behind(60_000)).await;
    scene.yes(&["rebuild", "balance", "--as-live"]);
    scene
        .until_waits(2, "rests 4 times as long as it works, for a live generation is 60 s behind")
        .await;
    until_live(&scene.database, 2).await;
    assert_eq!(
        states(&scene.database).await,
        json!([{"g": 1, "state": "retired"}, {"g": 2, "state": "live"}])
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_since_it_was_compared_does_not_go_live_as_equal() {
    let mut scene = Scene::of("[models.balance]\nswap = \"when_equal\"", 2, 200).await;
    // In the way of every swap, and of no comparison.
    scene.database.execute(r#"CREATE SCHEMA "balance@next""#).await;
    let other = MODEL.replace(
        "SELECT e.account_id, e.amount, 1, e.seq",
        "SELECT e.account_id, CASE WHEN e.account_id = 'late' THEN 0 ELSE e.amount END, 1, e.seq",
    );
    write_model(&scene.bank, &other);
    scene.vitrina.hang_up();
    let built = scene.until_waits(2, "balance@next").await;
    assert_eq!(built["comparison"][0]["equal"], true, "{built}");
    Producer::new().send(&moved(&scene.writer, "late", 1, 7)).await;
    scene.oracle.moved("late", 1, 7);
    scene.database.eventually(WITNESS, &scene.oracle.rows()).await;
    scene.database.execute(r#"DROP SCHEMA "balance@next""#).await;
    let built =
        scene.until_waits(2, "it is not equal to balance@1: 1 rows of balance differ").await;
    assert_eq!(
        built["comparison"][0]["sample"][0]["key"],
        json!({"account_id": "late"}),
        "{built}"
    );
    assert_eq!(scene.database.rows("SELECT live FROM vitrina.model").await, json!([{"live": 1}]));
    scene.end().await;
}
