//! Conditions and groups of them, `or=(a.eq.1,and(b.gt.2,c.is.null))`. Invariant: a group means what `AND`, `OR` and `NOT` mean
//! in SQL, NULLs included, and is never deeper than what Postgres and we read without effort.

use crate::catalogue::View;
use crate::database::Binds;
use crate::problem::{Kind, Problem};

use super::filter::{Filter, Place};
use super::name;
use super::operand::Operand;

/// Parameters that are groups; a column of such a name is written `"or"=eq.x`.
pub(crate) const GROUPS: [&str; 4] = ["or", "and", "not.or", "not.and"];
/// What ends a name in a group.
const ENDS: [char; 3] = ['.', ',', ')'];
const MAX_DEPTH: usize = 10;

/// What a row has to meet.
#[derive(Debug)]
pub(crate) enum Condition<'v> {
    One(Filter<'v>),
    Group { negated: bool, junction: Junction, members: Vec<Condition<'v>> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Junction {
    And,
    Or,
}

impl<'v> Condition<'v> {
    /// The group that the parameter `name` is, one of [`GROUPS`].
    pub(crate) fn group(view: &'v View, name: &str, text: &str) -> Result<Self, Problem> {
        let reader = Reader { view, parameter: name };
        let (condition, rest) = reader.group(name, text, 1)?;
        if rest.is_empty() { Ok(condition) } else { Err(reader.malformed(rest)) }
    }

    /// The condition on a relation named `t`.
    pub(crate) fn sql(&self, binds: &mut Binds) -> String {
        match self {
            Self::One(filter) => filter.condition(binds),
            Self::Group { negated, junction, members } => {
                let members: Vec<_> = members.iter().map(|member| member.sql(binds)).collect();
                let junction = if *junction == Junction::And { " AND " } else { " OR " };
                let not = if *negated { "NOT " } else { "" };
                format!("{not}({})", members.join(junction))
            }
        }
    }

    /// All that it compares.
    pub(crate) fn filters(&self) -> Vec<&Filter<'v>> {
        match self {
            Self::One(filter) => vec![filter],
            Self::Group { members, .. } => members.iter().flat_map(Self::filters).collect(),
        }
    }

    /// The conditions that hold together where this one holds.
    pub(crate) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::Group { negated: false, junction, members }
                if junction == Junction::And || members.len() == 1 =>
            {
                members.into_iter().flat_map(Self::conjuncts).collect()
            }
            other => vec![other],
        }
    }

    /// What it says, for fingerprints.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::One(filter) => filter.canonical(),
            Self::Group { negated, junction, members } => {
                let members: Vec<_> = members.iter().map(Self::canonical).collect();
                format!("{negated:?}{junction:?}{members:?}")
            }
        }
    }
}

/// Reads one parameter.
#[derive(Clone, Copy)]
struct Reader<'v, 'p> {
    view: &'v View,
    parameter: &'p str,
}

impl<'v> Reader<'v, '_> {
    /// A group called `name`, its members at the beginning of `text`; and what follows them.
    fn group<'t>(
        self,
        name: &str,
        text: &'t str,
        depth: usize,
    ) -> Result<(Condition<'v>, &'t str), Problem> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!("`{}` has groups in groups, more than {MAX_DEPTH} of them: `and` in `and` and `or` in `or` can be left out.", self.parameter)));
        }
        let (negated, name) = match name.strip_prefix("not.") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let junction = if name == "and" { Junction::And } else { Junction::Or };
        let mut rest = text.strip_prefix('(').ok_or_else(|| self.malformed(text))?;
        let mut members = Vec::new();
        loop {
            let (member, after) = self.member(rest, depth)?;
            members.push(member);
            if let Some(next) = after.strip_prefix(',') {
                rest = next;
            } else if let Some(after) = after.strip_prefix(')') {
                return Ok((Condition::Group { negated, junction, members }, after));
            } else {
                return Err(self.malformed(after));
            }
        }
    }

    fn member<'t>(self, text: &'t str, depth: usize) -> Result<(Condition<'v>, &'t str), Problem> {
        let group =
            |name: &&str| text.strip_prefix(*name).is_some_and(|rest| rest.starts_with('('));
        if let Some(name) = GROUPS.into_iter().find(group) {
            return self.group(name, &text[name.len()..], depth + 1);
        }
        let (name, rest) = name::first(text, &ENDS).ok_or_else(|| self.malformed(text))?;
        let (operand, rest) = Operand::parse(self.view, self.parameter, &name, rest, &ENDS)?;
        let test = rest.strip_prefix('.').ok_or_else(|| self.malformed(rest))?;
        let (filter, rest) = Filter::parse(self.parameter, operand, test, Place::Group)?;
        Ok((Condition::One(filter), rest))
    }

    fn malformed(self, rest: &str) -> Problem {
        let at = if rest.is_empty() { "its end".to_owned() } else { format!("`{rest}`") };
        self.refuse(format!(
            "`{0}` cannot be read from {at} on: write `{0}=(a.eq.1,b.gt.2)`, groups in it as `and(…)`, `or(…)` or `not.or(…)`, and `\"`, which an address writes as %22, around a value that holds `,` or `)`.",
            self.parameter
        ))
    }

    fn refuse(self, detail: String) -> Problem {
        Problem::of(Kind::BadValue, self.parameter, detail, None::<String>)
    }
}
