//! How many rows a list has, for those who prefer to know. Invariant: nobody pays for a count who did not ask.

use crate::prefer::Preferences;

/// What `Prefer: count=…` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Nothing is said of counts.
    Unsaid,
    None,
    Exact,
    /// The planner's guess.
    Estimated,
}

impl Count {
    pub(crate) fn preferred(preferences: &Preferences) -> Self {
        match preferences.get("count") {
            Some("none") => Self::None,
            Some("exact") => Self::Exact,
            Some("estimated") => Self::Estimated,
            _ => Self::Unsaid,
        }
    }

    /// The preference that is followed, as it is written.
    pub(crate) fn applied(self) -> Option<&'static str> {
        match self {
            Self::Unsaid => None,
            Self::None => Some("count=none"),
            Self::Exact => Some("count=exact"),
            Self::Estimated => Some("count=estimated"),
        }
    }
}
