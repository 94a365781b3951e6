//! Where a page ended. Invariant: a cursor goes on only in the generation that it was made in, with the view, the order and
//! the filters that it was made for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::catalogue::{View, fingerprint};
use crate::json::json;
use crate::problem::{Kind, Problem};

use super::group::Condition;
use super::order::Term;

const VERSION: u8 = 2;

/// The last row of a page, by the values of its order's columns; `None` is NULL.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    version: u8,
    view: String,
    /// The generation's.
    serial: i64,
    query: String,
    last: Vec<Option<String>>,
    /// How many rows that are the same as the last one were given already; of a SQL view, where more of them follow.
    same: u64,
}

/// Where the page after a cursor begins.
#[derive(Debug)]
pub(crate) struct After {
    pub(crate) last: Vec<Option<String>>,
    /// Rows equal to it in all that is ordered by, to be passed over before those that are given; none where there are
    /// no more of them.
    pub(crate) same: Option<u64>,
}

impl Cursor {
    pub(crate) fn new(
        view: &View,
        terms: &[Term<'_>],
        conditions: &[Condition<'_>],
        last: Vec<Option<String>>,
        same: u64,
    ) -> Self {
        let order = terms.iter().map(Term::order_by);
        let mut tests: Vec<_> = conditions.iter().map(Condition::canonical).collect();
        tests.sort_unstable();
        let query: Vec<_> = order.chain(["where".to_owned()]).chain(tests).collect();
        let query = fingerprint(query.iter().map(String::as_str));
        Self { version: VERSION, view: view.name.clone(), serial: view.serial, query, last, same }
    }

    /// The text that the caller gets.
    pub(crate) fn encode(&self, view: &View) -> Result<String, Problem> {
        let text = json(self)?;
        let bytes = match &view.seal {
            Some(seal) => seal.seal(text.as_bytes()).ok_or_else(unsealed)?,
            None => text.into_bytes(),
        };
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Where to go on, if `text` is a cursor of this very query.
    pub(crate) fn resume(
        text: &str,
        view: &View,
        terms: &[Term<'_>],
        conditions: &[Condition<'_>],
    ) -> Result<After, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = match &view.seal {
            Some(seal) => bytes.and_then(|bytes| seal.open(&bytes)),
            None => bytes,
        };
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let nul = |value: &Option<String>| value.as_ref().is_some_and(|value| value.contains('\0'));
        let mut cursor =
            cursor.filter(|cursor| !cursor.last.iter().any(nul)).ok_or_else(garbage)?;
        if cursor.view == view.name && cursor.serial != view.serial {
            return Err(changed(view));
        }
        let last = std::mem::take(&mut cursor.last);
        let same = std::mem::take(&mut cursor.same);
        let no_offset = same > 0 && (view.is_keyed() || i64::try_from(same).is_err());
        if cursor != Self::new(view, terms, conditions, Vec::new(), 0)
            || last.len() != terms.len()
            || no_offset
        {
            return Err(mismatch());
        }
        Ok(After { last, same: (same > 0).then_some(same) })
    }
}

fn unsealed() -> Problem {
    Problem::new(Kind::Internal, "The next page's address could not be made.")
}

fn garbage() -> Problem {
    let detail = "This is no cursor of this API: take `page.next` as it is, or begin again without `cursor`.";
    Problem::of(Kind::CursorMismatch, "cursor", detail, None::<String>)
}

/// The rows that it would go on after are another generation's.
fn changed(view: &View) -> Problem {
    let detail = format!(
        "`{}` has been rebuilt since this cursor was made, and the rows of two generations do not mix: begin again without `cursor`.",
        view.name
    );
    Problem::of(Kind::GenerationChanged, "cursor", detail, None::<String>)
}

/// The answer to a cursor that does not go on here.
pub(crate) fn mismatch() -> Problem {
    let detail = "This cursor was not made for this view with these filters and this order: take `page.next` as it is, or begin again without `cursor`.";
    Problem::of(Kind::CursorMismatch, "cursor", detail, None::<String>)
}
