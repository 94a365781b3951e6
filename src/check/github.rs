//! Findings as GitHub's workflow commands, which it shows beside the lines of a change.

use std::path::{Component, Path, PathBuf};

use vitrina_sql::Finding;

pub(super) fn command(finding: &Finding) -> String {
    let kind = if finding.is_error() { "error" } else { "warning" };
    let root = std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let file = property(&from_the_root(&finding.file, root.as_deref(), &here));
    let (line, column) = (finding.line, finding.column);
    let (title, message) = (property(&finding.what), data(&finding.help));
    format!("::{kind} file={file},line={line},col={column},title={title}::{message}")
}

/// GitHub counts paths from the root of the repository, wherever the step runs.
fn from_the_root(file: &str, root: Option<&Path>, here: &Path) -> String {
    let Some(folder) = root.and_then(|root| here.strip_prefix(root).ok()) else {
        return file.to_owned();
    };
    let mut path = PathBuf::new();
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir if path.pop() => {}
            part => path.push(part),
        }
    }
    path.display().to_string()
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
        let from = |file, root| from_the_root(file, root, Path::new("/w/shop/views"));
        assert_eq!(from("m.sql", None), "m.sql");
        assert_eq!(from("m.sql", Some(Path::new("/elsewhere"))), "m.sql");
        assert_eq!(from("../models/m.sql", Some(Path::new("/w"))), "shop/models/m.sql");
        let warning = command(&Finding::warning("m.sql", at, "w", "h"));
        assert_eq!(warning, "::warning file=m.sql,line=3,col=7,title=w::h");
    }
}
