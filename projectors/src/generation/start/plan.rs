//! What a start of an instance would do with a model, told beforehand and by the same comparison: nothing, follow the file in
//! place, or build another generation; and because of which lines.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use vitrina_ingest::KafkaSettings;
use vitrina_sql::{MeaningPart, Model, Place};

use crate::definition::Definition;
use crate::fault::Fault;
use crate::generation::known::Known;
use crate::generation::start::retention::shortens_history;
use crate::generation::stored::Generation;
use crate::names::GenerationId;

/// What would be done with one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub model: String,
    pub does: Does,
    pub because: Vec<Because>,
    /// That a generation would read, by now; none where Kafka is away, or nothing is built.
    pub events: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    Nothing,
    /// Indexes, views, comments and rights, in place.
    Follow,
    /// A new generation, beside the live one where there is one.
    Build,
}

/// A place in a file, and what is new there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Because {
    pub file: String,
    pub line: usize,
    pub what: String,
}

impl Plan {
    /// What a start would do with the model of a file.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn of(connection: &mut PgConnection, definition: &Definition) -> Result<Self, Fault> {
        let file = &definition.model.file;
        let known = known(connection, &definition.model.name).await?;
        let (does, because) = match known.iter().find(|one| one.is_live()) {
            None => (Does::Build, vec![Because::whole(file, "the model is new")]),
            Some(live) if live.has_used(definition) => {
                let what = format!("it is generation {}'s", live.generation);
                (Does::Nothing, vec![Because::whole(file, what)])
            }
            Some(live) => {
                let id = GenerationId::new(&definition.model.name, live.generation);
                let now = Generation::read(connection, &id).await?.definition;
                match live.means(definition) {
                    true => followed(&now, definition),
                    false => proposed(&now, definition, (live.generation, &known)),
                }
            }
        };
        Ok(Self { model: definition.model.name.clone(), does, because, events: None })
    }

    /// Builds nothing where the log has lost what the live generation was made of.
    ///
    /// # Errors
    /// [`Fault`]; Kafka does not answer, or Postgres.
    pub async fn mind_history(
        &mut self,
        connection: &mut PgConnection,
        definition: &Definition,
        kafka: &KafkaSettings,
    ) -> Result<(), Fault> {
        let model = &definition.model;
        let known = known(connection, &model.name).await?;
        let Some(live) = known.iter().find(|one| one.is_live()) else { return Ok(()) };
        let live = GenerationId::new(&model.name, live.generation);
        if let Some(why) = shortens_history(connection, &live, definition, kafka).await? {
            (self.does, self.events) = (Does::Nothing, None);
            self.because = vec![Because::whole(&model.file, why)];
        }
        Ok(())
    }

    /// Of a live model whose file is not there.
    pub fn gone(model: &str, file: &str) -> Self {
        let what = format!(
            "the file is gone: the model stays readable and is not fed; put it back, or `vitrina drop {model} --yes`"
        );
        let because = vec![Because::whole(file, what)];
        Self { model: model.to_owned(), does: Does::Nothing, because, events: None }
    }
}

impl Because {
    fn whole(file: &str, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 1, what: what.into() }
    }
}

/// All generations of the model; none where no Vitrina has run here, either.
async fn known(connection: &mut PgConnection, model: &str) -> sqlx::Result<Vec<Known>> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('vitrina.generation') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if exists { Known::all(connection, model).await } else { Ok(Vec::new()) }
}

/// The meaning is the live one's, and the text is another.
fn followed(live: &Definition, definition: &Definition) -> (Does, Vec<Because>) {
    let because = difference(&furniture(&live.model), &furniture(&definition.model));
    if !because.is_empty() {
        return (Does::Follow, because);
    }
    let changed = definition.files.0.iter().filter(|(path, text)| {
        !live.files.0.iter().any(|(other, known)| known == *text && same_file(other, path))
    });
    let what = "no row depends on what has changed here";
    (Does::Nothing, changed.map(|(path, _)| Because::whole(path, what)).collect())
}

/// Instances may have the same files in other folders.
fn same_file(one: &str, other: &str) -> bool {
    let name = |path: &str| path.rsplit('/').take(3).map(str::to_owned).collect::<Vec<_>>();
    name(one).iter().zip(name(other)).all(|(one, other)| *one == other)
}

fn proposed(
    live: &Definition,
    definition: &Definition,
    (number, known): (i32, &[Known]),
) -> (Does, Vec<Because>) {
    let model = &definition.model;
    let Some(same) = known.iter().find(|one| one.means(definition)) else {
        return (Does::Build, difference(&live.parts, &definition.parts));
    };
    let Known { generation, state, .. } = same;
    let what = match same.is_built() {
        true => format!("generation {generation} is being built of it"),
        false => format!(
            "it is generation {generation}'s, which is {state}, and {number} is live: `vitrina rebuild {}` builds the \
             file's",
            model.name
        ),
    };
    (Does::Nothing, vec![Because::whole(&model.file, what)])
}

/// What follows the file in place.
fn furniture(model: &Model) -> Vec<MeaningPart> {
    let indexes = model.indexes.iter().map(|index| (index.at, &index.sql));
    let views = model.views.iter().map(|view| (view.at, &view.sql));
    let comments = model.comments.iter().map(|comment| (comment.at, &comment.sql));
    let part = |(at, sql): (Place, &String)| {
        let text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let what = text.chars().take(60).collect();
        MeaningPart { file: model.file.clone(), at, what, text }
    };
    let grants = model.grants.iter().map(|grant| (grant.at, &grant.sql));
    let policies = model.policies.iter().map(|policy| (policy.at, &policy.sql));
    indexes.chain(views).chain(comments).chain(grants).chain(policies).map(part).collect()
}

/// What is new in `after`; where nothing is, what is gone; where nothing is either, the order has changed.
fn difference(before: &[MeaningPart], after: &[MeaningPart]) -> Vec<Because> {
    let lacks = |parts: &[MeaningPart], part: &MeaningPart| {
        !parts.iter().any(|other| other.text == part.text)
    };
    let place = |part: &MeaningPart, what: String| Because {
        file: part.file.clone(),
        line: part.at.line,
        what,
    };
    let new = after.iter().filter(|part| lacks(before, part));
    let new: Vec<Because> = new.map(|part| place(part, part.what.clone())).collect();
    if !new.is_empty() {
        return new;
    }
    let gone = before.iter().filter(|part| lacks(after, part));
    let mut found: Vec<Because> =
        gone.map(|part| Because::whole(&part.file, format!("{} is gone", part.what))).collect();
    let moved = before.iter().zip(after).find(|(before, after)| before.text != after.text);
    if let (true, Some((_, part))) = (found.is_empty(), moved) {
        found.push(place(part, format!("{} stands elsewhere", part.what)));
    }
    found
}
