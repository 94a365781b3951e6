//! What is wrong with a payload: the path of the field, the byte, and what was found there.

/// An error on the way through the payload; boxed, because it is rare and results are many.
#[derive(Debug)]
pub(crate) struct PayloadFault {
    pub(crate) path: String,
    pub(crate) at: usize,
    pub(crate) what: String,
}

pub(crate) type Parse<T> = Result<T, Box<PayloadFault>>;

impl PayloadFault {
    #[cold]
    pub(crate) fn new(at: usize, what: impl Into<String>) -> Box<Self> {
        Box::new(Self { path: String::new(), at, what: what.into() })
    }

    /// Puts the field's name before the path, if it has one.
    #[cold]
    pub(crate) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        if name.is_empty() {
            return self;
        }
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// Puts an item's place or a map's key before the path.
    #[cold]
    pub(crate) fn in_item(mut self: Box<Self>, item: impl std::fmt::Display) -> Box<Self> {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{item}]{dot}{}", self.path);
        self
    }
}
