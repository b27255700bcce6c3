//! docs/proof.md against the repository: every test, property and mutation that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use corral_model::book::Rule;
use corral_model::run::quick;

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
    assert!(names.len() >= 20, "only {} names found", names.len());
    assert!(unknown.is_empty(), "the proof names what there is not: {unknown:#?}");
    for rule in Rule::ALL {
        assert!(names.contains(rule.name()), "the proof does not name the property {}", rule.name());
    }
}

#[test]
fn every_mutation_names_a_run_and_a_property_that_there_are() {
    let listed = read("tools/model/mutations.txt");
    let runs: Vec<&str> = quick().iter().map(|run| run.name).collect();
    let field = |name: &'static str| listed.lines().filter_map(move |line| line.strip_prefix(name));
    assert!(field("run: ").all(|run| runs.contains(&run)));
    assert!(field("caught by: ").all(|property| Rule::ALL.iter().any(|rule| rule.name() == property)));
    assert!(field("mutation: ").count() >= 50);
    let missed: Vec<_> = Rule::ALL.iter().filter(|rule| !field("caught by: ").any(|of| of == rule.name())).collect();
    assert!(missed.is_empty(), "no mutation shows that these can fail: {missed:?}");
}

#[test]
fn every_mutation_has_its_place_in_the_core() {
    let listed = read("tools/model/mutations.txt");
    let core: Vec<String> = files(&Path::new(ROOT).join("crates/core/src"))
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    let times = |text: &str| core.iter().map(|source| source.matches(text).count()).sum::<usize>();
    for mutation in listed.split("\n=====\n").skip(1) {
        let mut parts = mutation.split("\n-----\n");
        let (head, right) = (parts.next(), parts.next());
        assert_eq!(right.map(times), Some(1), "{head:?}");
    }
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
