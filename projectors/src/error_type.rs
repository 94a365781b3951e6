//! What kind an error is, and how bad that is: one table, from which metrics, alerts and the webhook take their labels.

/// The kinds of errors that operators tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Connections, deadlocks, restarts of Kafka, the registry or Postgres.
    Transient,
    /// A statement or a fetch took too long.
    Timeout,
    /// The other side asks for fewer requests.
    RateLimit,
    /// Disk, memory, connections, locks; a server that only reads.
    ResourceUnavailable,
    /// A check that the model itself declares refuses the event.
    BusinessRule,
    /// The record does not decode or upcast, or Postgres refuses its values.
    Validation,
    /// What the record refers to, such as its schema, does not exist.
    NotFound,
    /// The engine or the model is at fault.
    System,
    /// Settings or definitions cannot work.
    Configuration,
    /// Bytes that are no record.
    Corruption,
    /// Credentials, certificates or permissions are refused.
    Security,
}

/// How much of the service an error touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing critical.
    Low,
    /// A function that can be missed for a while.
    Medium,
    /// A function that cannot.
    High,
    /// The service as a whole.
    Critical,
}

impl ErrorType {
    pub const ALL: [Self; 11] = [
        Self::Transient,
        Self::Timeout,
        Self::RateLimit,
        Self::ResourceUnavailable,
        Self::BusinessRule,
        Self::Validation,
        Self::NotFound,
        Self::System,
        Self::Configuration,
        Self::Corruption,
        Self::Security,
    ];

    fn facts(self) -> (&'static str, Severity) {
        match self {
            Self::Transient => ("transient", Severity::Medium),
            Self::Timeout => ("timeout", Severity::Medium),
            Self::RateLimit => ("rate_limit", Severity::Low),
            Self::ResourceUnavailable => ("resource_unavailable", Severity::High),
            Self::BusinessRule => ("business_rule", Severity::Low),
            Self::Validation => ("validation", Severity::Medium),
            Self::NotFound => ("not_found", Severity::Medium),
            Self::System => ("system", Severity::Critical),
            Self::Configuration => ("configuration", Severity::High),
            Self::Corruption => ("corruption", Severity::High),
            Self::Security => ("security", Severity::Critical),
        }
    }

    /// As labels and JSON write it.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    pub fn severity(self) -> Severity {
        self.facts().1
    }
}

impl Severity {
    /// As labels and JSON write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
