//! Texts with `${…}`, where each round of a story puts something else:
//!
//! `${n}` the round, from 0 · `${n/K}` · `${n%K}` · `${pick A|B}` one of them by round · `${int A B}` a number from A to B ·
//! `${money A B}` the same in cents, as a decimal · `${now}` the moment · `${later M}` M minutes after it · `${date D}` the
//! day D days after it · `${uuid NAME N}` one id for each name and number · `${NAME}` what the story calls so.
//! A text that is one number's or one name's as a whole becomes that value.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rand::Rng as _;
use rand::rngs::SmallRng;
use serde_json::{Number, Value};
use uuid::Uuid;

const DAY: u64 = 24 * 60 * 60;

/// What a text may name.
pub(super) struct Teller<'a> {
    pub(super) round: u64,
    pub(super) moment: SystemTime,
    pub(super) names: &'a BTreeMap<String, Value>,
    pub(super) random: &'a mut SmallRng,
}

/// The id of a name, always the same.
pub(super) fn uuid(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

impl Teller<'_> {
    pub(super) fn fill(&mut self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                let name = |name: &String, teller: &mut Self| match teller.text(name) {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                fields.map(|(key, value)| (name(key, self), self.fill(value))).collect()
            }
            Value::String(text) => self.text(text),
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> Value {
        let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        if let Some(inner) = whole.filter(|inner| !inner.contains('}')) {
            return self.placeholder(inner);
        }
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (inner, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            match self.placeholder(inner) {
                Value::String(text) => filled.push_str(&text),
                other => filled.push_str(&other.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Value::String(filled)
    }

    fn placeholder(&mut self, inner: &str) -> Value {
        if let Some(known) = self.names.get(inner) {
            return known.clone();
        }
        let (kind, rest) = inner.split_once(' ').unwrap_or((inner, ""));
        let text = match kind {
            "now" => moment(self.moment),
            "later" => moment(self.moment + Duration::from_secs(60 * number(rest).unsigned_abs())),
            "date" => self.date(number(rest)),
            "uuid" => {
                let (name, round) = rest.rsplit_once(' ').unwrap_or((rest, "n"));
                uuid(&format!("{name} {}", self.counted(round))).to_string()
            }
            "pick" => {
                let choices: Vec<&str> = rest.split('|').collect();
                choices[self.round as usize % choices.len()].to_owned()
            }
            "int" => return self.range(rest).into(),
            "money" => {
                let cents = self.range(rest);
                let text = format!("{}.{:02}", cents / 100, cents % 100);
                return text.parse().map_or(Value::String(text), |number: Number| number.into());
            }
            _ => self.counted(kind).to_string(),
        };
        Value::String(text)
    }

    fn range(&mut self, bounds: &str) -> u64 {
        let (low, high) = bounds.split_once(' ').unwrap_or((bounds, bounds));
        let (low, high) = (number(low).unsigned_abs(), number(high).unsigned_abs());
        self.random.random_range(low..=high.max(low))
    }

    fn date(&self, days: i64) -> String {
        let apart = Duration::from_secs(DAY * days.unsigned_abs());
        let day = if days < 0 { self.moment - apart } else { self.moment + apart };
        moment(day)[..10].to_owned()
    }

    /// `n`, `n/K` or `n%K`.
    fn counted(&self, expression: &str) -> u64 {
        let operand = |text: &str| number(text).unsigned_abs().max(1);
        match (expression.strip_prefix("n/"), expression.strip_prefix("n%")) {
            (Some(divisor), _) => self.round / operand(divisor),
            (_, Some(divisor)) => self.round % operand(divisor),
            _ => self.round,
        }
    }
}

fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn number(text: &str) -> i64 {
    text.trim().parse().unwrap_or_default()
}
