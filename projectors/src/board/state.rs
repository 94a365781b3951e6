//! The states that a model can be in on one instance.

/// The state of a model on one instance (`docs/reference.md`, "States").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Starting,
    CatchingUp,
    Live,
    Waiting,
    Paused,
    BreakerOpen,
    Stopped,
}

impl State {
    pub(super) const ALL: [Self; 7] = [
        Self::Starting,
        Self::CatchingUp,
        Self::Live,
        Self::Waiting,
        Self::Paused,
        Self::BreakerOpen,
        Self::Stopped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::BreakerOpen => "breaker_open",
            Self::Stopped => "stopped",
        }
    }
}
