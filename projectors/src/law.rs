//! The law: any model that loads, over any batch, ends with the same rows and the same refusals whether its events run in
//! waves, one by one, or in any other cut. Postgres running event by event is the oracle.
#![allow(clippy::unwrap_used)]

mod changes;
mod dice;
mod events;
mod every;
mod fixed;
mod inserts;
mod lanes;
mod meeting;
mod models;
mod rebuilt;
mod split;
mod stand;
mod tables;
mod tally;
mod trial;
mod values;
mod world;

use std::io::Write as _;

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Executor};

use crate::generation::control;
use crate::session;
use dice::Dice;
use models::Model;
use tally::Tally;
use trial::{BATCHES, Batch, Outcome};

/// How many cases `make test` tries, and the first of their seeds: with these every form comes up.
const CASES: u64 = 100;
const SEED: u64 = 2;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

pub(crate) async fn database() -> Option<PgConnectOptions> {
    let Ok(url) = std::env::var("VITRINA_TEST_POSTGRES_URL") else {
        skip();
        return None;
    };
    let server = PgPool::connect(&url).await.unwrap();
    let name = format!("law_{}", rand::random::<u64>());
    server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    // Compiling statements for tables of a few rows, and waiting for the disk, would take most of the time.
    let quick = [("jit", "off"), ("synchronous_commit", "off")];
    let options = session::options(&url).unwrap().database(&name).options(quick);
    let pool = session::control_pool(&options, 2);
    control::migrate(&pool).await.unwrap();
    let blind = "CREATE COLLATION public.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)";
    pool.execute(blind).await.unwrap();
    pool.execute(lanes::ATTEMPTS).await.unwrap();
    Some(options)
}

/// A law that nobody tried must not pass for one that holds. The words go past the test's own output, which nobody sees
/// where it passes.
fn skip() {
    let how = "run by `make test`, which starts Postgres";
    assert!(std::env::var("CI").is_err(), "{how}");
    writeln!(std::io::stderr(), "skipped: the law needs Postgres; {how}").unwrap();
}

/// How much is tried: as `make test` does with seeds that bring up every form, or as asked for.
struct Extent {
    cases: u64,
    seed: u64,
}

impl Extent {
    fn read() -> Self {
        let cases = setting("VITRINA_LAW_CASES");
        let seed = setting("VITRINA_LAW_SEED");
        let seed = seed.unwrap_or_else(|| if cases.is_some() { rand::random() } else { SEED });
        Self { cases: cases.unwrap_or(CASES), seed }
    }
}

/// Fails with the smallest case that was found.
async fn fail(
    options: &PgConnectOptions,
    what: &str,
    model: Model,
    batches: Vec<Batch>,
    how: String,
) -> ! {
    if setting("VITRINA_LAW_SHRINK") == Some(0) {
        panic!("broken in {what}\n{how}");
    }
    let (model, batches, smaller) = trial::shrink(options, model, batches).await;
    let how = if smaller.is_empty() { how } else { smaller };
    panic!("broken in {what}\n{}\n{batches:#?}\n{how}", model.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn counterexamples_of_the_contract_stay_lawful() {
    let Some(options) = database().await else { return };
    let Extent { cases, seed } = Extent::read();
    // A line that is left out is looked for in the model that was made for it.
    let line = std::env::var("VITRINA_SABOTAGE").ok();
    for (name, text) in
        fixed::MODELS.iter().filter(|(name, _)| line.as_ref().is_none_or(|line| line == name))
    {
        let relations = trial::relations(&models::load(text).unwrap());
        let mut dice = Dice::new(seed);
        let most = if line.is_some() { cases } else { cases.div_ceil(30) };
        for case in (0..most).step_by(BATCHES as usize) {
            let batches = Batch::draw_some(&mut dice, &relations);
            match trial::run(&options, text, &batches, &mut Tally::default()).await {
                Outcome::Lawful => {}
                Outcome::NoModel(why) => panic!("{name}: {why}"),
                Outcome::Broken(how) => {
                    let what = format!("case {case} of {name}, VITRINA_LAW_SEED={seed}");
                    fail(&options, &what, Model::fixed(text), batches, how).await
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waves_equal_event_by_event() {
    let Some(options) = database().await else { return };
    let Extent { cases, seed: first } = Extent::read();
    let (mut tally, mut tried, mut models) = (Tally::default(), 0, 0u64);
    while tried < cases {
        let seed = first.wrapping_add(models);
        models += 1;
        let mut dice = Dice::new(seed);
        let model = Model::draw(&mut dice);
        let Ok(definition) = models::load(&model.text()) else {
            tally.count("model: refused by check");
            continue;
        };
        let relations = trial::relations(&definition);
        let batches = Batch::draw_some(&mut dice, &relations);
        match trial::run(&options, &model.text(), &batches, &mut tally).await {
            Outcome::NoModel(_) => {
                tally.count("model: refused by Postgres");
                continue;
            }
            Outcome::Broken(how) => {
                fail(
                    &options,
                    &format!("case {tried}, VITRINA_LAW_SEED={seed}"),
                    model,
                    batches,
                    how,
                )
                .await
            }
            Outcome::Lawful => {}
        }
        tried += BATCHES;
        tally.count("model: tried");
        model
            .tags
            .iter()
            .chain(model.rules.iter().flat_map(|rule| &rule.tags))
            .for_each(|form| tally.count(form));
    }
    println!("seed {first}, {tried} cases\n{tally}");
    assert!(2 * tally.get("model: tried") >= models, "too many models do not load");
    assert_eq!(
        tally.missing(cases >= 1000),
        Vec::<&str>::new(),
        "never came up in {tried} cases from seed {first}\n{tally}"
    );
}
