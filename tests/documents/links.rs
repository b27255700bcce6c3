//! Links between files: every relative one leads somewhere, its heading included.

use std::path::Path;

use super::{file, markdown, root};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_are_there() {
    let (mut followed, mut broken) = (0, Vec::new());
    for path in markdown() {
        let text = without_code(&file(&path.to_string_lossy()));
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            followed += 1;
            if !leads_somewhere(&path, link) {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(followed > 20, "only {followed} links");
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
}

fn leads_somewhere(from: &Path, link: &str) -> bool {
    let (target, heading) = link.split_once('#').unwrap_or((link, ""));
    let path = match target {
        "" => root().join(from),
        _ => root().join(from).parent().unwrap().join(target),
    };
    if heading.is_empty() {
        return path.exists();
    }
    std::fs::read_to_string(path).is_ok_and(|text| headings(&text).any(|found| found == heading))
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The headings as they are linked to: lower case, blanks as hyphens, without punctuation.
fn headings(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|character| character.is_alphanumeric() || "- _".contains(*character));
        kept.collect::<String>().replace(' ', "-")
    })
}

/// Without fenced blocks and code spans: what looks like a link there is none.
fn without_code(text: &str) -> String {
    let prose = text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n");
    prose.lines().map(|line| line.split('`').step_by(2).collect::<String>() + "\n").collect()
}
