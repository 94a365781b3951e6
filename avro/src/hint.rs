//! The end of a sentence about a name that nobody knows.

/// `, did you mean x?`, or nothing where no candidate is near.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    vitrina_sql::nearest(name, candidates)
        .map_or_else(String::new, |candidate| format!(", did you mean `{candidate}`?"))
}
