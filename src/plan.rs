//! What a start would do with each model, for `vitrina check`.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _};
use vitrina_ingest::{Cluster, KafkaSettings};
use vitrina_projectors::{Definitions, Does, Fault, Plan, control, session};

use crate::config::Config;

const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);

/// The plans of all models, those whose file is gone last.
///
/// # Errors
/// As Postgres says.
pub(crate) async fn plans(config: &Config, loaded: &Definitions) -> Result<Vec<Plan>, Fault> {
    let mut connection = session::options(&config.postgres_url)?.connect().await?;
    let mut plans = Vec::new();
    let mut topics = BTreeMap::new();
    for definition in &loaded.models {
        let plan = Plan::of(&mut connection, definition).await?;
        if plan.does == Does::Build {
            topics.insert(plan.model.clone(), definition.topics());
        }
        plans.push(plan);
    }
    let live = control::live_models(&mut connection).await?;
    let events = events(&config.kafka, topics).await;
    for (plan, definition) in plans.iter_mut().zip(&loaded.models) {
        plan.events = events.get(&plan.model).copied();
        // Where Kafka does not answer, a start waits until it does.
        if plan.events.is_some() {
            plan.mind_history(&mut connection, definition, &config.kafka).await?;
        }
    }
    let _ = connection.close().await;
    let has_file = |model: &String| {
        loaded.broken.contains_key(model)
            || loaded.models.iter().any(|definition| definition.model.name == *model)
    };
    for model in live.iter().filter(|model| !has_file(model)) {
        if config.model(model).is_some() {
            let file = config.models.join(format!("{model}.sql"));
            plans.push(Plan::gone(model, &file.display().to_string()));
        }
    }
    Ok(plans)
}

/// How many records the topics of each model hold; none where Kafka does not say.
async fn events(
    kafka: &KafkaSettings,
    topics: BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, i64> {
    let kafka = kafka.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::new(&kafka).ok()?;
        let mut events = BTreeMap::new();
        for (model, topics) in topics {
            let mut sum = 0;
            for topic in topics {
                let ends = cluster.ends(&topic, KAFKA_TIMEOUT).ok()?;
                sum += ends.iter().map(|(_, start, end)| end - start).sum::<i64>();
            }
            events.insert(model, sum);
        }
        Some(events)
    });
    let asked = tokio::time::timeout(KAFKA_TIMEOUT, asked).await;
    asked.ok().and_then(Result::ok).flatten().unwrap_or_default()
}

/// A plan for people.
pub(crate) fn words(plan: &Plan) -> String {
    let place = |because: &vitrina_projectors::Because| {
        format!("{}:{} ({})", because.file, because.line, because.what)
    };
    let first = plan.because.first().map(place).unwrap_or_default();
    let more = match plan.because.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let events = match (plan.does, plan.events) {
        (Does::Build, Some(events)) => format!(", over {events} events"),
        (Does::Build, None) => {
            ", over as many events as Kafka holds, which does not answer".to_owned()
        }
        _ => String::new(),
    };
    let does = match plan.does {
        Does::Nothing => "nothing",
        Does::Follow => "follow",
        Does::Build => "build",
    };
    format!("{does}, because of {first}{more}{events}")
}
