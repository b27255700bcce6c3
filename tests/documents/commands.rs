//! docs/commands.md against COMMAND DOCS, COMMAND INFO and real replies.

use super::{file, table};
use crate::documentation::{docs, name, syntax, COMMANDS, LABELS};
use crate::harness::{Client, Reply, Server, Stock};

const DOCUMENT: &str = "docs/commands.md";

/// What the document says of one command, under its own heading.
fn section<'a>(document: &'a str, command: &str) -> &'a str {
    let heading = format!("\n### {command}\n");
    let (_, section) = document.split_once(&heading).unwrap_or_else(|| panic!("no heading {command}"));
    section.split("\n##").next().unwrap_or_default()
}

/// Words with one blank between them.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_has_its_section_with_what_command_docs_says() {
    let server = Server::start();
    let mut client = server.client();
    let document = file(DOCUMENT);
    for (wanted, flags, _, access, _) in COMMANDS {
        let name = name(wanted);
        let section = section(&document, name);
        let docs = docs(&mut client, name);
        let shown = section.split("```text\n").nth(1).and_then(|block| block.split("```").next()).unwrap_or_default();
        assert_eq!(flat(shown), syntax(name, &docs), "the syntax of {name}");
        let prose = flat(section);
        let summary = docs.field("summary").text() + ".";
        assert!(prose.contains(&summary), "{name}: no {summary:?}");
        for (field, value) in [
            ("since", docs.field("since").text()),
            ("complexity", docs.field("complexity").text()),
            ("ACL categories", categories(flags, access)),
        ] {
            let row = format!("| {field} | {value} |");
            assert!(section.contains(&row), "{name}: no {row:?}");
        }
        let info = client.run(&format!("COMMAND INFO {name}")).list()[0].clone();
        let mut told: Vec<String> = info.list()[6].list().iter().map(Reply::text).collect();
        if !told.is_empty() {
            let mut written: Vec<String> = categories(flags, access).split(' ').map(str::to_owned).collect();
            told.sort();
            written.sort();
            // The category of our own is there only where a module can add one.
            written.retain(|category| category != "@cache" || told.contains(category));
            assert_eq!(written, told, "{name}");
        }
    }
}

/// The ACL categories that follow from a command's flags and from what it does to its keys.
fn categories(flags: &str, access: &str) -> String {
    let has = |flag: &str| flags.split(' ').any(|given| given == flag);
    let changes = has("write") || access.contains("update");
    let words = [
        Some(if changes { "@write" } else { "@read" }),
        Some(if has("fast") { "@fast" } else { "@slow" }),
        has("blocking").then_some("@blocking"),
        has("admin").then_some("@admin @dangerous"),
        Some("@cache"),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_list_of_commands_has_every_command_in_the_order_of_the_sections() {
    let document = file(DOCUMENT);
    let listed: Vec<String> = table(&document, "| command | does |")
        .iter()
        .map(|row| row[0].split(['[', ']']).nth(1).expect("a link").trim_matches('`').to_owned())
        .collect();
    let headings: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("### CACHE.")).collect();
    assert_eq!(listed, headings.iter().map(|name| format!("CACHE.{name}")).collect::<Vec<_>>());
    assert_eq!(listed.len(), COMMANDS.len());
}

#[test]
fn the_labels_are_described_once_for_all_that_take_them() {
    assert!(flat(&file(DOCUMENT)).contains(&format!("`{LABELS}`")));
}

/// One reply in each state.
fn every_state(client: &mut Client) -> Vec<(String, bool)> {
    Stock::furnish(client);
    client.run("CACHE.SET purged value PX 3600000 SWR 600000");
    client.run("CACHE.INVALIDATE purged");
    let asks = [
        "CACHE.GETORLOCK fresh",
        "CACHE.GET stale",
        "CACHE.GETORLOCK purged",
        "CACHE.GETORLOCK nothing",
        "CACHE.GETORLOCK held",
        "CACHE.GETORLOCK passed",
        "CACHE.GETORLOCK failed",
        "CACHE.GET absent",
    ];
    let answers = asks.map(|ask| client.ask(ask));
    answers.into_iter().map(|answer| (answer.state, answer.value.is_none())).collect()
}

#[test]
fn the_table_of_states_has_the_words_of_real_replies_and_says_which_have_no_value() {
    let server = Server::start();
    let told = every_state(&mut server.client());
    for (document, but) in [(DOCUMENT, None), ("README.md", Some("MISS"))] {
        let mut told: Vec<(String, bool)> =
            told.iter().filter(|(state, _)| but != Some(state.as_str())).cloned().collect();
        let rows = table(&file(document), "| state | value | number |");
        let mut written: Vec<(String, bool)> = rows.iter().map(|row| (row[0].clone(), row[1] == "nil")).collect();
        told.sort();
        written.sort();
        assert_eq!(written, told, "{document}");
    }
}

#[test]
fn the_keyspace_events_are_those_of_the_code() {
    let rows = table(&file(DOCUMENT), "| event | when |");
    let mut written: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    let source = file("crates/core/src/node/step.rs");
    let words = source.split("Word::").skip(1).filter_map(|rest| rest.split_once(" => c\"")?.1.split_once('"'));
    let mut sent: Vec<String> = words.map(|(word, _)| word.to_owned()).collect();
    assert!(sent.len() > 5, "{sent:?}");
    written.sort();
    sent.sort();
    sent.dedup();
    assert_eq!(written, sent);
}
