//! Documents that name tests name tests there are.

use std::path::Path;

const DOCUMENT: &str = include_str!("../docs/redis.md");

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{file}.rs"));
    std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("docs/redis.md names tests/{file}.rs, which is not there"))
}

#[test]
fn every_row_of_the_table_has_tests_and_they_are_there() {
    let (table, tests) = DOCUMENT.split_once("## The tests behind each row").expect("the section is there");
    // The first table: faults of the servers have one of their own.
    let (table, _) = table.split_once("\n## ").expect("more sections are there");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let rows: Vec<&str> = rows.filter(|row| *row != "with").collect();
    let mut sections = tests.split("\n**");
    sections.next();
    let sections: Vec<(&str, &str)> = sections.map(|section| section.split_once("**").unwrap()).collect();
    assert_eq!(rows, sections.iter().map(|(row, _)| *row).collect::<Vec<_>>(), "rows and their tests, in one order");
    for (row, tests) in sections {
        assert!(quoted(tests).count() > 0, "{row} has no test");
        for name in quoted(tests) {
            match name.split_once("::") {
                Some((file, test)) => {
                    let source = source(file);
                    let before = source.split_once(&format!("\nfn {test}() {{")).map(|(before, _)| before);
                    let attribute = before.and_then(|before| before.lines().next_back()).unwrap_or_default();
                    let is_test = attribute == "#[test]" || attribute.starts_with("#[ignore");
                    assert!(is_test, "{row}: no test {name}");
                }
                None => {
                    let file = name.strip_suffix(".rs").unwrap_or_else(|| panic!("{row}: {name} is no test"));
                    assert!(source(file).contains("#[test]"), "{row}: {name} has no tests");
                }
            }
        }
    }
}
