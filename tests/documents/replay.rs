//! Every redis-cli session of the documents, replayed on a server of its own: what it shows is what the server answers.
//!
//! `A> command` is sent by terminal A and its reply compared with the lines below; `(parked)` says that there is none
//! yet; `B<` is the reply that comes later, or the next message to a subscriber. Terminal R is at a replica.
//! `(200 ms later)` lets time pass, `(A hangs up)` closes a connection. What follows `#` is for the reader.
//!
//! What differs from run to run: tokens, which are mapped to this run's own; milliseconds, from 100 on compared within
//! half and twice (and two seconds for a busy machine), below that only in size; ports of clients. Small numbers, which
//! are counts and flags, are compared as they are.

use std::collections::HashMap;
use std::time::Duration;

use super::{file, markdown};
use crate::harness::{eventually, Client, Reply, Server};

/// Numbers from here on are tokens: microseconds since the epoch.
const SMALLEST_TOKEN: i64 = 1_000_000_000_000_000;

#[test]
fn every_session_of_the_documents_is_what_the_server_answers() {
    let mut replayed = 0;
    for path in markdown() {
        let path = path.to_string_lossy().into_owned();
        for (index, session) in sessions(&file(&path)).into_iter().enumerate() {
            Replay::new(format!("{path}, session {}", index + 1)).run(&session);
            replayed += 1;
        }
    }
    assert!(replayed >= 10, "only {replayed} sessions");
}

#[test]
fn the_readme_has_a_session_of_at_least_four_turns() {
    let sessions = sessions(&file("README.md"));
    assert!(sessions.iter().any(|session| session.len() >= 4), "{sessions:?}");
}

/// The sessions of a document: turns, each a terminal's line and what it shows.
fn sessions(document: &str) -> Vec<Vec<Vec<String>>> {
    let blocks = document.split("```redis-cli\n").skip(1);
    blocks.map(|block| turns(block.split("```").next().unwrap_or_default())).collect()
}

fn turns(block: &str) -> Vec<Vec<String>> {
    let plain = block.lines().map(|line| line.split('#').next().unwrap().trim_end().to_owned());
    let mut turns: Vec<Vec<String>> = Vec::new();
    for line in plain.filter(|line| !line.is_empty()) {
        let happens = line.ends_with(" later)") || line.ends_with(" hangs up)");
        let is_turn = line[1..].starts_with("> ") || line[1..].starts_with('<') || happens;
        match turns.last_mut() {
            Some(turn) if !is_turn => turn.push(line),
            _ => turns.push(vec![line]),
        }
    }
    turns
}

struct Replay {
    title: String,
    server: Server,
    replica: Option<Server>,
    terminals: HashMap<char, Client>,
    /// This run's tokens, by those shown.
    tokens: HashMap<String, String>,
}

impl Replay {
    fn new(title: String) -> Self {
        let server = Server::start();
        Self { title, server, replica: None, terminals: HashMap::new(), tokens: HashMap::new() }
    }

    fn run(&mut self, session: &[Vec<String>]) {
        for turn in session {
            self.turn(turn);
        }
    }

    fn turn(&mut self, turn: &[String]) {
        let (first, shown) = turn.split_first().expect("a turn has a line");
        if let Some(ms) = first.strip_prefix('(').and_then(|rest| rest.strip_suffix(" ms later)")) {
            std::thread::sleep(Duration::from_millis(ms.parse().expect("a number of milliseconds")));
            return;
        }
        if let Some(name) = first.strip_prefix('(').and_then(|rest| rest.strip_suffix(" hangs up)")) {
            self.terminals.remove(&name.chars().next().unwrap()).expect("the terminal is open").hang_up();
            return;
        }
        let (name, line) = first.split_at(1);
        let name = name.chars().next().unwrap();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        match line.strip_prefix("> ") {
            Some(command) => {
                let words = self.words(command);
                let before = self.server.info("corral_waiters");
                self.terminal(name).send_words(&words);
                if shown == ["(parked)"] {
                    eventually("the terminal is parked", || self.server.info("corral_waiters") > before);
                    assert!(!self.terminal(name).has_reply(), "{}: {first}", self.title);
                    return;
                }
            }
            None => assert_eq!(line, "<", "{}: {first}", self.title),
        }
        let reply = self.terminal(name).read();
        self.compare(first, &shown, &reply);
    }

    fn terminal(&mut self, name: char) -> &mut Client {
        if name == 'R' {
            let replica = self.replica.get_or_insert_with(|| self.server.replica());
            replica.catch_up_with(&self.server);
        }
        let server = if name == 'R' { self.replica.as_ref().unwrap() } else { &self.server };
        self.terminals.entry(name).or_insert_with(|| server.client())
    }

    /// A command's words, quotes honoured, with this run's tokens in place of those shown.
    fn words(&self, command: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in command.split('"').enumerate() {
            match index % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words.into_iter().map(|word| self.tokens.get(&word).cloned().unwrap_or(word)).collect()
    }

    fn compare(&mut self, turn: &str, shown: &[&str], reply: &Reply) {
        let got = printed(reply, "");
        let context = format!("{}: {turn}\nshown:\n{}\ngot:\n{}", self.title, shown.join("\n"), got.join("\n"));
        assert_eq!(shown.len(), got.len(), "{context}");
        for (shown, got) in shown.iter().zip(&got) {
            let same = match (number(shown), number(got)) {
                (Some((label, shown)), Some((same, got))) => label == same && self.is_alike(shown, got),
                _ => without_port(shown) == without_port(got),
            };
            assert!(same, "{shown}\nis not\n{got}\n\n{context}");
        }
    }

    fn is_alike(&mut self, shown: i64, got: i64) -> bool {
        match shown {
            SMALLEST_TOKEN.. => {
                self.tokens.insert(shown.to_string(), got.to_string());
                got >= SMALLEST_TOKEN
            }
            100.. => (shown / 2..=shown * 2 + 2000).contains(&got),
            11..=99 => (0..=2000).contains(&got),
            _ => shown == got,
        }
    }
}

/// `3) (integer) 5` as its label and number.
fn number(line: &str) -> Option<(&str, i64)> {
    let (label, number) = line.split_once("(integer) ")?;
    Some((label, number.parse().ok()?))
}

/// A client's address without its port.
fn without_port(line: &str) -> &str {
    match line.split_once("127.0.0.1:") {
        Some((address, _)) => address,
        None => line,
    }
}

/// As redis-cli prints it.
fn printed(reply: &Reply, indent: &str) -> Vec<String> {
    let list = match reply {
        Reply::List(list) if list.is_empty() => return vec!["(empty array)".to_owned()],
        Reply::List(list) => list,
        single => return vec![single_line(single)],
    };
    let width = list.len().to_string().len();
    let inner = format!("{indent}{:width$}  ", "");
    let mut lines = Vec::new();
    for (index, part) in list.iter().enumerate() {
        let mut part = printed(part, &inner).into_iter();
        let margin = if index == 0 { "" } else { indent };
        lines.push(format!("{margin}{:>width$}) {}", index + 1, part.next().unwrap_or_default()));
        lines.extend(part);
    }
    lines
}

fn single_line(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "(nil)".to_owned(),
        Reply::Word(word) => word.clone(),
        Reply::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Reply::Number(number) => format!("(integer) {number}"),
        Reply::Error(sentence) => format!("(error) {sentence}"),
        other => panic!("not in the documents: {other:?}"),
    }
}
