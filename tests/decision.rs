//! The decision table of GETORLOCK and GET, from `data/decision.txt`, which explains its own form.

use std::collections::HashMap;

use crate::harness::{Client, Reply, Server, DEADLINE};

const TABLE: &str = include_str!("data/decision.txt");

#[test]
fn every_row_of_the_decision_table_holds_on_a_real_server() {
    let server = Server::start();
    let mut rows = [0; 6];
    for case in TABLE.split("\n== ").skip(1) {
        let (title, steps) = case.split_once('\n').unwrap();
        let row: usize = title.split(' ').next().unwrap().parse().unwrap();
        rows[row - 1] += 1;
        server.client().run("FLUSHALL");
        Case { server: &server, title, clients: HashMap::new(), tokens: HashMap::new() }.run(steps);
    }
    eprintln!("cases per row: {rows:?}");
    assert!(rows.iter().all(|cases| *cases > 0), "a row has no case: {rows:?}");
}

struct Case<'a> {
    server: &'a Server,
    title: &'a str,
    clients: HashMap<String, Client>,
    tokens: HashMap<String, String>,
}

impl Case<'_> {
    fn run(&mut self, steps: &str) {
        let lines: Vec<&str> = steps.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let split = lines.iter().position(|line| *line == "----").expect("a case has a line of ----");
        let (commands, replies) = (&lines[..split], &lines[split + 1..]);
        assert_eq!(commands.len(), replies.len(), "{}: one reply to each command", self.title);
        for (command, expected) in commands.iter().zip(replies) {
            self.step(command, expected);
        }
    }

    fn step(&mut self, line: &str, expected: &str) {
        let (line, patient) = match line.strip_prefix("eventually ") {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let (name, command) = match line.split_once(": ") {
            Some((name, command)) => (name, command),
            None => ("", line),
        };
        let mut command = command.to_owned();
        for (token, value) in &self.tokens {
            command = command.replace(&format!("<{token}>"), value);
        }
        let started = std::time::Instant::now();
        loop {
            let got = self.reply(name, &command);
            if let Some(tokens) = matches(expected, &got) {
                self.tokens.extend(tokens);
                return;
            }
            let out_of_time = !patient || started.elapsed() > DEADLINE;
            assert!(!out_of_time, "case {}\n at {line}\n expected {expected}\n got      {got}", self.title);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    fn reply(&mut self, name: &str, command: &str) -> String {
        let client = self.clients.entry(name.to_owned()).or_insert_with(|| self.server.client());
        if let Some(command) = command.strip_prefix("parks ") {
            self.server.park(client, command);
            return "parked".to_owned();
        }
        let reply = if command == "reads" { client.read() } else { client.run(command) };
        match &reply {
            Reply::List(parts) if matches!(parts.first(), Some(Reply::Word(_))) => format!("{:?}", reply.triple()),
            other => format!("{other:?}"),
        }
    }
}

/// The tokens that the reply has where the pattern names them, if it fits the pattern.
fn matches(pattern: &str, text: &str) -> Option<Vec<(String, String)>> {
    let (mut pattern, mut text, mut tokens) = (pattern, text, Vec::new());
    while let Some((literal, rest)) = pattern.split_once('<') {
        let (placeholder, rest) = rest.split_once('>').expect("a placeholder ends with >");
        text = text.strip_prefix(literal)?;
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        match placeholder.split_once(' ').expect("a placeholder has a word and an argument") {
            ("token", name) => tokens.push((name.to_owned(), number.to_string())),
            ("ms", range) => {
                let (low, high) = range.split_once("..").expect("a range has two dots");
                if !(low.parse().unwrap()..=high.parse().unwrap()).contains(&number) {
                    return None;
                }
            }
            other => panic!("no such placeholder: {other:?}"),
        }
        (pattern, text) = (rest, &text[digits..]);
    }
    let fits = match pattern.strip_suffix("...") {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    };
    fits.then_some(tokens)
}
