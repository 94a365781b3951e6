//! `Read-After`: what an answer must reflect. Invariant: who names a position, an offset or an event is answered from a
//! snapshot that has it, or is told that it is not there yet.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};

use super::located;
use crate::api::Api;
use crate::catalogue::{Failure, Reached, Sought, View};
use crate::prefer::{self, Preferences};
use crate::problem::{Kind, Problem};

const READ_AFTER: HeaderName = HeaderName::from_static("read-after");
/// How long is waited unless `Prefer: wait` says otherwise, and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// How often Postgres is asked for what is written by another process.
const POLL: Duration = Duration::from_millis(50);
/// Who begins claims one partition after the other: for so long an unknown one may still come.
const CLAIMS: Duration = Duration::from_secs(1);
/// Events of one header: each is looked for in the whole window.
const MAX_EVENTS: usize = 16;
const ALLOWED: [&str; 3] =
    ["orders.events=2742.2829.-,users.events=518", "orders.events/3=1842", "event=\"ID\""];

/// What an answer must reflect, and until when is waited for it.
#[derive(Debug)]
pub(crate) struct After {
    positions: Vec<Wanted>,
    events: Vec<String>,
    deadline: Instant,
    /// How long is waited because the caller prefers so.
    preferred: Option<Duration>,
}

/// What a position is to what is wanted.
enum Standing {
    Reached,
    Behind,
    /// A partition that nobody reads.
    Without(Problem),
}

/// Of a topic, partition by partition from `first`, the offset that must be reflected.
#[derive(Debug, PartialEq)]
struct Wanted {
    topic: String,
    first: i32,
    offsets: Vec<Option<i64>>,
}

impl After {
    pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
        headers.contains_key(READ_AFTER)
    }

    /// None where nothing is asked.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let (mut positions, mut events) = (Vec::new(), Vec::new());
        for line in headers.get_all(READ_AFTER) {
            let line = std::str::from_utf8(line.as_bytes())
                .map_err(|_| malformed("it is not UTF-8".to_owned()))?;
            parse(line, &mut positions, &mut events).map_err(malformed)?;
        }
        if events.len() > MAX_EVENTS {
            return Err(malformed(format!("it names more than {MAX_EVENTS} events")));
        }
        let is_nothing = positions.is_empty() && events.is_empty();
        let (wait, most) = WAIT;
        let asked = Preferences::of(headers).get("wait").and_then(|seconds| seconds.parse().ok());
        let preferred = asked.map(|seconds| Duration::from_secs(seconds).min(most));
        let deadline = Instant::now() + preferred.unwrap_or(wait);
        Ok((!is_nothing).then_some(Self { positions, events, deadline, preferred }))
    }

    /// Says how long was waited at most, where the caller had a say in it.
    pub(crate) fn say_applied(&self, response: &mut Response) {
        if let Some(wait) = self.preferred {
            prefer::applied(response.headers_mut(), &format!("wait={}", wait.as_secs()));
        }
    }

    /// Waits until the view's generation reflects it; the answer where that takes too long.
    pub(crate) async fn reflected(
        &self,
        api: &Api,
        view: &View,
    ) -> Result<Option<Response>, Failure> {
        let database = api.database();
        let mut moved = api.moved(&view.model);
        let mut sought = Sought::new(&self.events);
        let begun = Instant::now();
        let mut since = begun;
        let mut place = None;
        loop {
            let reached = view.gauge.since(database, view, since).await?;
            let standing = self.standing(api, view, &reached).await?;
            let reached = sought.look(database, view, reached).await?;
            let is_late = Instant::now() >= self.deadline;
            match standing {
                Standing::Reached if sought.is_found() => return Ok(None),
                Standing::Without(problem) if is_late || begun.elapsed() > CLAIMS => {
                    return Err(problem.into());
                }
                _ if is_late => return Ok(Some(too_late(view, &reached))),
                _ => {}
            }
            // Who waits is answered later, and must leave room for those who need not.
            if place.is_none() {
                place = Some(api.wait()?);
            }
            let woken = async {
                let changed = match &mut moved {
                    Some(moved) => moved.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending::<()>().await;
                }
            };
            // Where nobody was woken, a reading that another one has taken since then is as good.
            let paused = Instant::now();
            since = tokio::select! {
                () = woken => Instant::now(),
                () = tokio::time::sleep(POLL) => paused,
                () = tokio::time::sleep_until(self.deadline.into()) => Instant::now(),
            };
        }
    }

    /// What is reached of the positions.
    ///
    /// # Errors
    /// The model does not read such a topic.
    async fn standing(
        &self,
        api: &Api,
        view: &View,
        reached: &Reached,
    ) -> Result<Standing, Failure> {
        let mut standing = Standing::Reached;
        for Wanted { topic, first, offsets } in &self.positions {
            let partitions = reached.position.partitions_of(topic);
            if partitions == 0 {
                // Nobody has begun to read it, though somebody will.
                let topics = view.gauge.topics(api.database(), view).await?;
                if let Some(topics) = topics.filter(|topics| !topics.contains(topic)) {
                    return Err(unread_topic(view, topic, topics).into());
                }
            }
            for (partition, offset) in (*first..).zip(offsets) {
                let Some(offset) = offset else { continue };
                let next_offset = reached.position.next_offset(topic, partition);
                if next_offset.is_none() && partitions > 0 {
                    let problem = unread_partition(view, topic, partition, partitions);
                    return Ok(Standing::Without(problem));
                }
                if next_offset.is_none_or(|next_offset| next_offset <= *offset) {
                    standing = Standing::Behind;
                }
            }
        }
        Ok(standing)
    }
}

fn too_late(view: &View, reached: &Reached) -> Response {
    let position = if reached.header.is_empty() { "the beginning" } else { &reached.header };
    let detail = format!(
        "`{}` does not reflect yet what Read-After names; it is at {position}. Ask again, or wait longer with Prefer: wait=SECONDS, at most {}.",
        view.name,
        WAIT.1.as_secs()
    );
    located(Problem::new(Kind::ProjectionBehind, detail).into_response(), reached)
}

fn malformed(why: String) -> Problem {
    let detail = format!(
        "Read-After cannot be read, {why}: send a Projection-Position as it came, TOPIC/PARTITION=OFFSET, or event=\"ID\", several with commas between."
    );
    Problem::of(Kind::BadValue, "Read-After", detail, ALLOWED)
}

fn unread_topic(view: &View, topic: &str, topics: &[String]) -> Problem {
    let detail = format!(
        "Read-After names the topic `{topic}`, which the model `{}` does not read.",
        view.model
    );
    Problem::of(Kind::BadValue, "Read-After", detail, topics.to_vec())
}

fn unread_partition(view: &View, topic: &str, partition: i32, partitions: usize) -> Problem {
    let detail = format!(
        "Read-After names partition {partition} of `{topic}`, of which the model `{}` reads 0 to {}.",
        view.model,
        partitions.saturating_sub(1)
    );
    Problem::of(Kind::BadValue, "Read-After", detail, None::<String>)
}

/// Adds what a line of the header names.
///
/// # Errors
/// What is wrong with it.
fn parse(line: &str, positions: &mut Vec<Wanted>, events: &mut Vec<String>) -> Result<(), String> {
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("event=\"") {
            let (id, after) = unquote(quoted).ok_or("an event's id has no `\"` at its end")?;
            if id.is_empty() {
                return Err("an event's id is empty, which no event is known by".to_owned());
            }
            events.push(id);
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(format!("`{}` follows an event's id", shown(rest)));
            }
        } else {
            let (item, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if !item.trim().is_empty() {
                positions.push(wanted(item.trim())?);
            }
            rest = after;
        }
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Ok(())
}

/// `TOPIC=OFFSETS` or `TOPIC/PARTITION=OFFSET`.
fn wanted(item: &str) -> Result<Wanted, String> {
    let refuse = || format!("`{}` is neither a topic's offsets nor one offset", shown(item));
    let (place, offsets) = item.split_once('=').ok_or_else(refuse)?;
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (topic, first, offsets) = match place.split_once('/') {
        Some((topic, partition)) => {
            let partition = number(partition).and_then(|partition| i32::try_from(partition).ok());
            let offset: Option<i64> = number(offsets);
            (topic, partition.ok_or_else(refuse)?, vec![Some(offset.ok_or_else(refuse)?)])
        }
        None => {
            let offset = |text: &str| match text {
                "-" => Some(None),
                text => number(text).map(Some),
            };
            let offsets: Option<Vec<_>> = offsets.split('.').map(offset).collect();
            (place, 0, offsets.ok_or_else(refuse)?)
        }
    };
    if topic.is_empty() {
        return Err(refuse());
    }
    Ok(Wanted { topic: topic.to_owned(), first, offsets })
}

/// The text up to the closing `"`, and what is after it; `\` takes the next character as it is.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut unquoted = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((unquoted, characters.as_str())),
            '\\' => unquoted.push(characters.next()?),
            other => unquoted.push(other),
        }
    }
}

/// The beginning of a long text: problems are for reading.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Vec<Wanted>, Vec<String>), String> {
        let (mut positions, mut events) = (Vec::new(), Vec::new());
        parse(line, &mut positions, &mut events)?;
        Ok((positions, events))
    }

    fn of(topic: &str, first: i32, offsets: &[Option<i64>]) -> Wanted {
        Wanted { topic: topic.to_owned(), first, offsets: offsets.to_vec() }
    }

    #[test]
    fn what_is_told_may_be_asked_for() {
        let (two, one) = (of("a.b-c", 0, &[Some(7), None, Some(0)]), of("event", 0, &[Some(12)]));
        for (line, positions, events) in [
            ("", vec![], &[][..]),
            (" , ,", vec![], &[]),
            ("a.b-c=7.-.0", vec![two], &[]),
            ("a/3=1842", vec![of("a", 3, &[Some(1842)])], &[]),
            ("event=12", vec![one], &[]),
            (r#"event="x""#, vec![], &["x"]),
            (r#"event="a,\"\\=b" , a=-,event="é""#, vec![of("a", 0, &[None])], &[r#"a,"\=b"#, "é"]),
        ] {
            let events = events.iter().map(|id| (*id).to_owned()).collect();
            assert_eq!(read(line), Ok((positions, events)), "{line}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for line in [
            "a",
            "=1",
            "a=",
            "a=x",
            "a=1..2",
            "a=+1",
            "a=-1",
            "a=1 2",
            "a/=1",
            "a/x=1",
            "a/1=",
            "a/1=-",
            "a/-1=1",
            "/1=1",
            "a/1=1.2",
            "a=9223372036854775808",
            "a/2147483648=1",
            r#"event="x"#,
            r#"event="x"y"#,
            r#"event="""#,
            r#"event="x\"#,
            "event='x'",
        ] {
            assert!(read(line).is_err(), "{line}: {:?}", read(line));
        }
    }
}
