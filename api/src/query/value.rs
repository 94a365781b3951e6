//! Values that stand among others, in lists and groups. Invariant: between double quotes a value may hold anything, `\` in
//! front of a quote or of itself; without them it ends at `,` or `)`.

const ENDS: [char; 2] = [',', ')'];

/// A value, and what follows it.
pub(crate) struct Value<'t> {
    pub(crate) text: String,
    pub(crate) is_quoted: bool,
    pub(crate) rest: &'t str,
}

impl<'t> Value<'t> {
    /// The one at the beginning of `text`; `None` where its quote is not closed.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let Some(quoted) = text.strip_prefix('"') else {
            let (value, rest) = text.split_at(text.find(ENDS).unwrap_or(text.len()));
            return Some(Self { text: value.to_owned(), is_quoted: false, rest });
        };
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' => {
                    return Some(Self { text: value, is_quoted: true, rest: characters.as_str() });
                }
                '\\' => value.push(characters.next()?),
                other => value.push(other),
            }
        }
    }

    /// All of `text`.
    pub(crate) fn whole(text: &str) -> Self {
        Self { text: text.to_owned(), is_quoted: false, rest: "" }
    }
}
