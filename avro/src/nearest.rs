//! The name that a mistyped one was probably meant to be.

/// `: did you mean x?`, or nothing where no candidate is near.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near =
        |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    let best = candidates
        .into_iter()
        .map(|candidate| (near(candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or_else(String::new, |(_, candidate)| format!(", did you mean `{candidate}`?"))
}
