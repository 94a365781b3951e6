//! Findings as GitHub's workflow commands, which it shows beside the lines of a change.

use std::path::{Path, PathBuf};

use vitrina_sql::Finding;

pub(super) fn command(finding: &Finding) -> String {
    let kind = if finding.is_error() { "error" } else { "warning" };
    let file = property(&from_the_root(&finding.file));
    let (line, column) = (finding.line, finding.column);
    let (title, message) = (property(&finding.what), data(&finding.help));
    format!("::{kind} file={file},line={line},col={column},title={title}::{message}")
}

/// GitHub counts paths from the root of the repository, wherever the step runs.
fn from_the_root(file: &str) -> String {
    let below = || {
        let root = PathBuf::from(std::env::var_os("GITHUB_WORKSPACE")?);
        let here = std::env::current_dir().ok()?;
        let path = here.strip_prefix(root).ok()?.join(Path::new(file));
        Some(path.display().to_string())
    };
    below().unwrap_or_else(|| file.to_owned())
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use vitrina_sql::Place;

    use super::*;

    #[test]
    fn a_finding_ends_no_command_and_begins_no_other() {
        let at = Place { line: 3, column: 7 };
        let finding = Finding::error("a,b:c.sql", at, "100 %, a::b\nc", "x: y, 5 %\r\n::error::z");
        assert_eq!(
            command(&finding),
            "::error file=a%2Cb%3Ac.sql,line=3,col=7,title=100 %25%2C a%3A%3Ab%0Ac::x: y, 5 %25%0D%0A::error::z"
        );
        let warning = command(&Finding::warning("m.sql", at, "w", "h"));
        assert_eq!(warning, "::warning file=m.sql,line=3,col=7,title=w::h");
    }
}
