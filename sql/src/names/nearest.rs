//! The name that a mistyped one was probably meant to be: one measure of nearness for all that anybody may mistype, in
//! SQL, contracts, settings and requests.

/// The nearest of `known`, whatever the case of its letters; none where nothing is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A slip in every third letter, and one more: a short name has room for one, and no name for another word.
    let reach = name.chars().count() / 3 + 1;
    known
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(&name, &other.to_lowercase()), other))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, other)| other)
}

/// `did you mean …? ` for the nearest of `known`, empty where none is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |other| format!("did you mean `{other}`? "))
}

/// The name that a finding's words suggest, as `did you mean` has it here and wherever else it is said.
pub fn suggested(words: &str) -> Option<&str> {
    words.split_once("did you mean `")?.1.split_once("`?").map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suggested_can_be_read_again() {
        let words = format!("x: {}its columns are a", did_you_mean("amout", ["amount"]));
        assert_eq!(suggested(&words), Some("amount"));
        assert_eq!(suggested(&did_you_mean("x", ["amount"])), None);
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(nearest("order_sumary", ["x", "order_summary"]), Some("order_summary"));
        assert_eq!(nearest("Keys", ["topic", "key"]), Some("key"));
        assert_eq!(nearest("uri", ["username", "url"]), Some("url"));
        assert_eq!(nearest("abc", ["order_summary"]), None);
        assert_eq!(nearest("", ["id", "key"]), None);
        assert_eq!(nearest("ab", ["cd"]), None, "two slips in two letters are another name");
    }
}
