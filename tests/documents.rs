//! The documents against the code and the server.

/// What `make docs` writes.
mod generated;

/// Every redis-cli session, replayed.
mod replay;

/// What operators read.
mod fields;

/// Links between files.
mod links;

use std::path::{Path, PathBuf};

/// The top of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn file(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every Markdown file of the repository, as its path from the top.
fn markdown() -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root().to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let is_theirs = name.starts_with('.') || name == "target" || name == "node_modules";
            if is_theirs {
                continue;
            } else if path.is_dir() {
                open.push(path);
            } else if name.ends_with(".md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The rows of the first table whose header begins with these cells; each row as its cells, without backticks around a
/// whole cell.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(header));
    assert!(lines.next().is_some(), "no table begins with {header:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    const ESCAPED: &str = "\u{1}";
    let line = line.replace("\\|", ESCAPED);
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| code(&cell.replace(ESCAPED, "|")).to_owned()).collect()
}

/// A cell that is nothing but code, without its backticks.
fn code(cell: &str) -> &str {
    let cell = cell.trim();
    match cell.strip_prefix('`').and_then(|inner| inner.strip_suffix('`')) {
        Some(inner) if !inner.contains('`') => inner,
        _ => cell,
    }
}

/// The string literals of a piece of Rust that satisfy `wanted`, with `...` for what is filled in.
fn sentences(source: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let literals = code.split('"').skip(1).step_by(2).filter(|literal| wanted(literal));
    literals
        .map(|literal| {
            let mut pieces = literal.split(['{', '}']);
            let first = pieces.next().unwrap_or_default().to_owned();
            pieces.enumerate().fold(first, |text, (index, piece)| match index % 2 {
                0 => text + "...",
                _ => text + piece,
            })
        })
        .collect()
}
