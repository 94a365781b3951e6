//! What two accesses of two events demand of their order.

use super::access::{Access, ColumnSet, KeyPart};
use super::sabotage::{Line, left_out};

/// How the later of two events may run, where their rows meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Before, after or with the earlier one.
    Free,
    /// With it or after it: together they are merged.
    NotBefore,
    /// In a later wave.
    After,
}

impl Order {
    /// `merged`: both belong to one rule, whose effect is a merge.
    pub(crate) fn between(one: &Access, other: &Access, merged: bool) -> Self {
        if one.table != other.table || (one.new_row && other.new_row) {
            return Self::Free;
        }
        let meets = |left: &ColumnSet, right: &ColumnSet| !left.is_disjoint(right);
        let disturbs = |left: &Access, right: &Access| {
            meets(&left.writes, &right.reads)
                || meets(&left.writes, &right.writes)
                || meets(&left.writes, &right.adds)
                || (meets(&left.adds, &right.reads) && !left_out(Line::AdditionsMeetReads))
        };
        if disturbs(one, other) || disturbs(other, one) {
            return match merged {
                true if left_out(Line::NotBefore) => Self::Free,
                true => Self::NotBefore,
                false => Self::After,
            };
        }
        if meets(&one.adds, &other.adds) { Self::NotBefore } else { Self::Free }
    }
}

/// The columns that are known of the rows of both: where these differ, the rows do.
pub(crate) fn common<'a>(
    one: &'a Access,
    other: &'a Access,
) -> impl Iterator<Item = (&'a KeyPart, &'a KeyPart)> {
    one.rows.parts().iter().filter_map(|part| {
        let same = other.rows.parts().iter().find(|candidate| candidate.column == part.column)?;
        Some((part, same))
    })
}
