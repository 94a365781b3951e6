//! Names as SQL writes them.

/// An identifier as SQL quotes it.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The schema that holds a generation's tables.
pub fn generation_schema(model: &str, generation: i32) -> String {
    format!("{model}@{generation}")
}
