//! Why a test's result depends on how its records arrive: the two smallest ways that end differently, and the rule without
//! which they do not.

use serde_json::{Map, Value, json};
use vitrina_projectors::Definition;
use vitrina_sql::{Rule, RuleKind};

use super::file::{Answer, Test, Then};
use super::judge::Failure;
use super::orders::{Batches, Twist};
use super::stage::{Outcome, RuleOf, Stage, rows_of};

/// Two ways of arriving.
#[derive(Debug, Clone, PartialEq)]
struct Pair {
    one: Batches,
    other: Batches,
}

/// Says it of an attempt that ended with `first`, and not as the records do as they are written.
///
/// # Errors
/// Postgres is away.
pub(super) async fn smallest(
    stage: &mut Stage,
    test: &Test,
    (twist, batches): (Twist, Batches),
    first: &Failure,
) -> Result<String, String> {
    let written = vec![(0..test.given.len()).collect()];
    let mut pair = Pair { one: written, other: batches };
    // The expectation may be met by columns that only one of them has; then it is told as it was found.
    if !differ(stage, test, &pair, None).await? {
        return Ok(format!("{}\n  {}", title(twist), first.what));
    }
    if twist == Twist::Order {
        pair = neighbours(stage, test, pair).await?;
    }
    for record in (0..test.given.len()).rev() {
        let fewer = pair.without(record);
        if differ(stage, test, &fewer, None).await? {
            pair = fewer;
        }
    }
    let rules = rules(stage, test, &pair).await?;
    let mut lines = vec![title(twist).to_owned()];
    lines.extend(rules);
    for (number, way) in [(1, &pair.one), (2, &pair.other)] {
        let outcome = stage.play(test, way, None).await?;
        lines.push(format!("{number}. {}", told(test, way)));
        lines.extend(essence(test, &outcome).into_iter().map(|line| format!("   {line}")));
    }
    Ok(lines.join("\n  "))
}

fn title(twist: Twist) -> &'static str {
    match twist {
        Twist::Order => {
            "the result depends on the order in which topics and keys come; a test that means one order says order = \"given\""
        }
        Twist::Duplicates => "the result is another one when records come again",
        Twist::Batches => {
            "the result is another one when records come one by one: this is a fault of Vitrina's, please tell us"
        }
    }
}

impl Pair {
    fn without(&self, record: usize) -> Self {
        let drop = |batches: &Batches| -> Batches {
            let kept = batches
                .iter()
                .map(|batch| batch.iter().copied().filter(|other| *other != record).collect());
            kept.filter(|batch: &Vec<usize>| !batch.is_empty()).collect()
        };
        Self { one: drop(&self.one), other: drop(&self.other) }
    }
}

async fn differ(
    stage: &mut Stage,
    test: &Test,
    pair: &Pair,
    without: Option<RuleOf<'_>>,
) -> Result<bool, String> {
    let one = stage.play(test, &pair.one, without).await?;
    let other = stage.play(test, &pair.other, without).await?;
    Ok(essence(test, &one) != essence(test, &other))
}

/// Two orders of one batch each that end differently although only two neighbours have changed places; the pair as it is where
/// batches matter.
async fn neighbours(stage: &mut Stage, test: &Test, pair: Pair) -> Result<Pair, String> {
    let way = between(pair.one.concat(), &pair.other.concat());
    let end = essence(test, &stage.play(test, &pair.one, None).await?);
    // The first order ends so, the last one does not.
    let (mut first, mut last) = (0, way.len() - 1);
    if last == 0 || ends_so(stage, test, &way[last], &end).await? {
        return Ok(pair);
    }
    while last - first > 1 {
        let middle = first + (last - first) / 2;
        match ends_so(stage, test, &way[middle], &end).await? {
            true => first = middle,
            false => last = middle,
        }
    }
    Ok(Pair { one: vec![way[first].clone()], other: vec![way[last].clone()] })
}

async fn ends_so(
    stage: &mut Stage,
    test: &Test,
    order: &[usize],
    end: &[String],
) -> Result<bool, String> {
    let outcome = stage.play(test, &vec![order.to_vec()], None).await?;
    Ok(essence(test, &outcome) == end)
}

/// Orders from the one to the other, in each of which two neighbours have changed places. Only records that are in another
/// order at the end do, so none leaves its place in its partition.
fn between(from: Vec<usize>, to: &[usize]) -> Vec<Vec<usize>> {
    let (mut order, mut way) = (from.clone(), vec![from]);
    for (place, record) in to.iter().enumerate() {
        let Some(found) = order.iter().position(|other| other == record) else { continue };
        for at in (place..found).rev() {
            order.swap(at, at + 1);
            way.push(order.clone());
        }
    }
    way
}

/// The rules without which both ways end the same, the likeliest first: one that changes or deletes rows, or looks at others'.
async fn rules(stage: &mut Stage, test: &Test, pair: &Pair) -> Result<Vec<String>, String> {
    let play = stage.play.clone();
    let given = |relation: String| {
        pair.one.iter().flatten().any(|record| test.given[*record].relation == relation)
    };
    let named = |model: &Definition, rule: &Rule| {
        let relation = format!("{}.{}", rule.context, rule.event);
        let of_rule = model.layouts.iter().filter(|layout| layout.contract.relation() == relation);
        of_rule.flat_map(|layout| layout.contract.events()).any(|event| given(event.relation()))
    };
    let models = play.definitions.models.iter();
    let mut found: Vec<(&Definition, &Rule)> = Vec::new();
    for model in models.filter(|model| test.models.contains(&model.model.name)) {
        for (place, rule) in
            model.model.rules.iter().enumerate().filter(|(_, rule)| named(model, rule))
        {
            if !differ(stage, test, pair, Some((&model.model.name, place))).await? {
                found.push((model, rule));
            }
        }
    }
    let weight = |rule: &Rule| match rule.kind {
        RuleKind::Update | RuleKind::Delete => 0,
        RuleKind::Insert if !rule.reads.is_empty() => 1,
        RuleKind::Insert => 2,
    };
    let least = found.iter().map(|(_, rule)| weight(rule)).min();
    found.retain(|(_, rule)| Some(weight(rule)) == least);
    let line = |(model, rule): &(&Definition, &Rule)| {
        let file = &model.model.file;
        let head = rule.sql.lines().next().unwrap_or_default();
        format!("{file}:{}: without this rule both end the same: {head} …", rule.at.line)
    };
    Ok(found.iter().map(line).collect())
}

/// The records of a way by their events, with the lines where they are given; batches have a bar between them.
fn told(test: &Test, way: &Batches) -> String {
    let record = |record: &usize| {
        let given = &test.given[*record];
        format!("{} (line {})", given.written, given.line)
    };
    let batches = way.iter().map(|batch| batch.iter().map(record).collect::<Vec<_>>().join(", "));
    batches.collect::<Vec<_>>().join(" | ")
}

/// As much of an outcome as the test looks at, a line each.
fn essence(test: &Test, outcome: &Outcome) -> Vec<String> {
    let asked = test.then.iter().filter_map(|then| match then {
        Then::Answer(answer) => Some(answer),
        Then::Parked(_) => None,
    });
    let answers = asked.zip(&outcome.answers).map(|(answer, (status, body))| {
        format!("GET {}: {}", answer.address, answered(answer, *status, body))
    });
    let parked: Vec<String> = outcome
        .parked
        .keys()
        .map(|record| {
            format!("{} (line {})", test.given[*record].written, test.given[*record].line)
        })
        .collect();
    let parked = (!parked.is_empty()).then(|| format!("parked: {}", parked.join(", ")));
    answers.chain(parked).collect()
}

fn answered(answer: &Answer, status: u16, body: &Value) -> Value {
    if status != 200 {
        return json!(status);
    }
    let columns = answer.columns();
    let seen = |row: Map<String, Value>| -> Map<String, Value> {
        let is_seen = |name: &String| columns.is_empty() || columns.contains(name);
        row.into_iter().filter(|(name, _)| is_seen(name)).collect()
    };
    let mut rows: Vec<Value> =
        rows_of(body).into_iter().map(|row| Value::Object(seen(row))).collect();
    if !answer.is_ordered() {
        rows.sort_by_key(ToString::to_string);
    }
    Value::Array(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_orders_changes_neighbours_and_keeps_what_both_have_in_order() {
        let way = between(vec![0, 1, 2, 3], &[2, 0, 3, 1]);
        assert_eq!(way.first(), Some(&vec![0, 1, 2, 3]));
        assert_eq!(way.last(), Some(&vec![2, 0, 3, 1]));
        for orders in way.windows(2) {
            let moved = orders[0].iter().zip(&orders[1]).filter(|(one, other)| one != other);
            assert_eq!(moved.count(), 2);
        }
        let place = |order: &Vec<usize>, record| order.iter().position(|other| *other == record);
        assert!(way.iter().all(|order| place(order, 0) < place(order, 1)));
        assert!(way.iter().all(|order| place(order, 2) < place(order, 3)));
    }

    #[test]
    fn a_record_that_is_dropped_is_dropped_from_both() {
        let pair = Pair { one: vec![vec![0, 1]], other: vec![vec![1], vec![0, 0]] };
        assert_eq!(pair.without(1), Pair { one: vec![vec![0]], other: vec![vec![0, 0]] });
    }
}
