//! The pages of `docs/` are a book: each is in its contents, and every link of theirs leads to a file and a heading.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_page_is_in_the_contents() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let named: Vec<String> = links(&contents).into_iter().map(|(_, target)| target).collect();
    let pages: BTreeSet<String> = pages(&docs)
        .iter()
        .map(|page| page.strip_prefix(&docs).unwrap().display().to_string())
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(BTreeSet::from_iter(named.clone()), pages);
    assert_eq!(named.len(), pages.len(), "a page is named twice: {named:?}");
    assert!(pages.len() > 20, "{pages:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = pages(&root.join("docs"));
    sources.push(root.join("README.md"));
    let (mut count, mut broken) = (0, Vec::new());
    for page in sources {
        let text = fs::read_to_string(&page).unwrap();
        for (line, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let to = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let known = heading.is_empty() || {
                let text = fs::read_to_string(&to).unwrap_or_default();
                headings(&text).contains(heading)
            };
            if !to.exists() || !known {
                broken.push(format!("{}:{line}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(count > 50, "{count}");
}

/// All pages below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => found.extend(pages(&path)),
            Some(extension) if extension == "md" => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

/// The lines of a page that are not code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((number + 1, line))
    })
}

/// The targets of `[…](…)`, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // What stands between backticks is code.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        for part in plain.split("](").skip(1) {
            found.extend(part.split_once(')').map(|(target, _)| (number, target.to_owned())));
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.trim().to_lowercase())
    });
    let anchor = |title: String| -> String {
        let kept =
            title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    titles.map(anchor).collect()
}
