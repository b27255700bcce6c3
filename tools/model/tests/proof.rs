//! docs/proof.md against the repository: every test, property and mutation that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use corral_model::book::Rule;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn every_test_named_in_the_proof_exists() {
    let proof = read("docs/proof.md");
    let mut code = String::new();
    for place in ["src", "crates", "tests", "tools/model/src", "tools/model/tests"] {
        for file in files(&Path::new(ROOT).join(place)) {
            code.push_str(&fs::read_to_string(file).unwrap_or_default());
        }
    }
    let names = names_in(&proof);
    let is_known = |name: &str| {
        code.contains(&format!("fn {name}("))
            || code.contains(&format!("story {name}\n"))
            || Rule::ALL.iter().any(|rule| rule.name() == name)
    };
    let unknown: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
    assert!(names.len() >= 30, "only {} names found", names.len());
    assert!(unknown.is_empty(), "the proof names what there is not: {unknown:#?}");
    for rule in Rule::ALL {
        assert!(names.contains(rule.name()), "the proof does not name the property {}", rule.name());
    }
}

#[test]
fn every_mutation_named_in_the_proof_exists() {
    let (proof, mutations) = (read("docs/proof.md"), read("tools/model/mutations.txt"));
    let known: BTreeSet<&str> = mutations.lines().filter_map(|line| line.strip_prefix("mutation: ")).collect();
    let named: BTreeSet<&str> = proof.split('"').skip(1).step_by(2).collect();
    assert!(named.len() >= 8, "only {named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "the proof names mutations that there are not: {unknown:?}");
}

/// Words in backticks that look like a test's name: small letters, at least three words.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.matches('_').count() >= 2 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

fn read(path: &str) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
