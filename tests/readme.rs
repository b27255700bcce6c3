//! The README's redis-cli session, replayed: what it shows is what the server answers.
//!
//! `A> command` is sent by terminal A and its reply compared with the lines below; `(parked)` says that there is none
//! yet; `B<` is the reply that comes later. What follows `#` is for the reader. Two kinds of numbers differ from run to
//! run: tokens, which are mapped to this run's own, and milliseconds, which only have to be no more than those shown.

use std::collections::HashMap;
use std::path::Path;

use crate::harness::{eventually, Client, Reply, Server};

/// Numbers from here on are tokens: microseconds since the epoch.
const SMALLEST_TOKEN: i64 = 1_000_000_000_000_000;

#[test]
fn the_readmes_session_is_what_the_server_answers() {
    let server = Server::start();
    let mut terminals: HashMap<char, Client> = HashMap::new();
    let mut tokens: HashMap<String, String> = HashMap::new();
    let mut turns = 0;
    for turn in session() {
        let mut lines = turn.iter();
        let first = lines.next().expect("a turn has a line");
        let shown: Vec<&str> = lines.map(String::as_str).collect();
        let (name, line) = first.split_at(1);
        let terminal = terminals.entry(name.chars().next().unwrap()).or_insert_with(|| server.client());
        match (line.strip_prefix("> "), shown.as_slice()) {
            (Some(command), ["(parked)"]) => {
                terminal.send_words(&words(command, &tokens));
                eventually("the terminal is parked", || server.info("corral_waiters") == 1);
                assert!(!terminal.has_reply());
            }
            (Some(command), shown) => {
                terminal.send_words(&words(command, &tokens));
                compare(shown, &terminal.read(), &mut tokens);
            }
            (None, shown) => compare(shown, &terminal.read(), &mut tokens),
        }
        turns += 1;
    }
    assert!(turns >= 4, "the session has {turns} turns");
}

/// The session's turns: a terminal's line, and what it shows.
fn session() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = readme.split("```redis-cli\n").nth(1).expect("the README has a session");
    let block = block.split("```").next().unwrap();
    let plain = block.lines().map(|line| line.split('#').next().unwrap().trim_end().to_owned());
    let mut turns: Vec<Vec<String>> = Vec::new();
    for line in plain.filter(|line| !line.is_empty()) {
        let is_turn = line[1..].starts_with('>') || line[1..].starts_with('<');
        match turns.last_mut() {
            Some(turn) if !is_turn => turn.push(line),
            _ => turns.push(vec![line]),
        }
    }
    turns
}

/// A command's words, quotes honoured, with this run's tokens in place of those shown.
fn words(command: &str, tokens: &HashMap<String, String>) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words.into_iter().map(|word| tokens.get(&word).cloned().unwrap_or(word)).collect()
}

fn compare(shown: &[&str], reply: &Reply, tokens: &mut HashMap<String, String>) {
    let got = match reply {
        Reply::List(parts) => {
            parts.iter().enumerate().map(|(index, part)| format!("{}) {}", index + 1, cli(part))).collect()
        }
        single => vec![cli(single)],
    };
    assert_eq!(shown.len(), got.len(), "shown {shown:?}, got {got:?}");
    for (shown, got) in shown.iter().zip(&got) {
        let (Some((label, shown_number)), Some((same_label, number))) = (number(shown), number(got)) else {
            assert_eq!(shown, got);
            continue;
        };
        assert_eq!(label, same_label);
        if shown_number >= SMALLEST_TOKEN {
            assert!(number >= SMALLEST_TOKEN, "shown a token, got {got}");
            tokens.insert(shown_number.to_string(), number.to_string());
        } else {
            assert!((1..=60_000).contains(&number), "shown {shown}, got {got}");
        }
    }
}

/// `3) (integer) 5` as its label and number.
fn number(line: &str) -> Option<(&str, i64)> {
    let (label, number) = line.split_once("(integer) ")?;
    Some((label, number.parse().ok()?))
}

/// As redis-cli prints it.
fn cli(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "(nil)".to_owned(),
        Reply::Word(word) => word.clone(),
        Reply::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Reply::Number(number) => format!("(integer) {number}"),
        other => panic!("not in the README: {other:?}"),
    }
}
