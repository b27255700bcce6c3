//! Plays a story: does what it says, and compares what comes with what should.

use std::collections::{BTreeSet, VecDeque};

use super::pattern::{self, Names};
use super::{shown, words, Line, Scene, Stage, Story};

/// How a story went another way.
#[derive(Debug)]
pub struct Failure {
    pub story: String,
    pub line: Line,
    pub expected: String,
    pub got: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { story, line, expected, got } = self;
        write!(out, "{story}\n  line {}  {}\n  expected {expected}\n  got      {got}", line.number, line.text)
    }
}

/// Plays a story whose needs are met. `None`: it went as it is told.
pub fn play(story: &Story, stage: &mut dyn Stage) -> Option<Failure> {
    stage.begin();
    let began_ms = stage.now_ms();
    let mut player = Player {
        stage,
        began_ms,
        names: Names::new(),
        parked: BTreeSet::new(),
        listening: BTreeSet::new(),
        expected: VecDeque::new(),
    };
    let wrong = story.scenes.iter().find_map(|scene| player.scene(scene).err());
    wrong.map(|Wrong { line, expected, got }| Failure { story: story.name.clone(), line, expected, got })
}

struct Player<'a> {
    stage: &'a mut dyn Stage,
    began_ms: u64,
    names: Names,
    /// Who has sent a command that is not answered yet.
    parked: BTreeSet<String>,
    /// Who has subscribed: messages come unasked.
    listening: BTreeSet<String>,
    /// What is still to come in this scene.
    expected: VecDeque<Line>,
}

struct Wrong {
    line: Line,
    expected: String,
    got: String,
}

impl Player<'_> {
    fn scene(&mut self, scene: &Scene) -> Result<(), Wrong> {
        self.expected = match scene.expected.as_slice() {
            [only] if only.text.starts_with("each: ") => for_each(only, scene),
            lines => lines.iter().cloned().collect(),
        };
        for line in &scene.input {
            self.line(line)?;
        }
        self.take_late_replies(None)?;
        if let Some(line) = self.expected.front() {
            return Err(wrong(line, &line.text, "no command is left that this could answer"));
        }
        self.nothing_else_came(scene)
    }

    fn line(&mut self, line: &Line) -> Result<(), Wrong> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong(line, "a number of ms", text));
        match line.text.split_once(' ') {
            Some(("wait", ms)) => self.stage.advance_ms(number(ms)?),
            Some(("at", ms)) => {
                let left = (self.began_ms + number(ms)?).saturating_sub(self.stage.now_ms());
                self.stage.advance_ms(left);
            }
            Some(("gone", client)) => {
                self.stage.hang_up(client);
                self.parked.remove(client);
                self.listening.remove(client);
            }
            Some(("eventually", call)) => self.call(line, call, true)?,
            _ => self.call(line, &line.text, false)?,
        }
        Ok(())
    }

    fn call(&mut self, line: &Line, call: &str, patient: bool) -> Result<(), Wrong> {
        let (client, command) = call.split_once(": ").ok_or_else(|| wrong(line, "CLIENT: COMMAND", call))?;
        // What came of earlier lines comes first: whoever is to call must have been answered.
        self.take_late_replies(Some(client))?;
        if self.parked.contains(client) {
            return Err(wrong(line, "a client that has been answered", "it is parked"));
        }
        let expected = self.expected.pop_front().ok_or_else(|| wrong(line, "a reply below ----", "none is left"))?;
        let prefix = format!("{client}: ");
        let pattern = expected.text.strip_prefix(&prefix);
        let pattern = pattern.ok_or_else(|| wrong(line, "its reply below ----", &expected.text))?;
        let mut tries = if patient { TRIES } else { 1 };
        loop {
            let words = self.words(line, command)?;
            self.stage.send(client, &words);
            if pattern == "parked" {
                return self.park(client, line);
            }
            let got = self.stage.reply(client).map_or_else(|| NOTHING.to_owned(), |reply| shown(&reply));
            if let Some(names) =
                pattern::bind(pattern, &got, &self.names).map_err(|why| wrong(&expected, pattern, &why))?
            {
                self.names = names;
                if words.first().is_some_and(|name| super::subscribes(&name.to_ascii_uppercase(), &words)) {
                    self.listening.insert(client.to_owned());
                }
                return Ok(());
            }
            tries -= 1;
            if tries == 0 || got == NOTHING {
                return Err(Wrong { line: line.clone(), expected: pattern.to_owned(), got });
            }
            self.stage.advance_ms(BETWEEN_TRIES_MS);
        }
    }

    fn park(&mut self, client: &str, line: &Line) -> Result<(), Wrong> {
        if self.stage.is_parked(client) {
            self.parked.insert(client.to_owned());
            return Ok(());
        }
        let got = self.stage.reply(client).map_or_else(|| NOTHING.to_owned(), |reply| shown(&reply));
        Err(Wrong { line: line.clone(), expected: "parked".to_owned(), got })
    }

    /// Takes the replies that are next and come to who was parked or has subscribed. What comes to the subscriber that is
    /// about to call is the reply to that call.
    fn take_late_replies(&mut self, caller: Option<&str>) -> Result<(), Wrong> {
        while let Some(line) = self.expected.front() {
            let Some((client, pattern)) = line.text.split_once(": ") else {
                return Err(wrong(line, "CLIENT: REPLY", &line.text));
            };
            let listens = self.listening.contains(client) && caller != Some(client);
            if !self.parked.contains(client) && !listens {
                break;
            }
            let got = self.stage.reply(client).map_or_else(|| NOTHING.to_owned(), |reply| shown(&reply));
            match pattern::bind(pattern, &got, &self.names).map_err(|why| wrong(line, pattern, &why))? {
                Some(names) => self.names = names,
                None => return Err(wrong(line, pattern, &got)),
            }
            self.parked.remove(client);
            self.expected.pop_front();
        }
        Ok(())
    }

    fn nothing_else_came(&mut self, scene: &Scene) -> Result<(), Wrong> {
        for client in self.parked.union(&self.listening) {
            if self.stage.has_reply(client) {
                let got = self.stage.reply(client).map_or_else(|| NOTHING.to_owned(), |reply| shown(&reply));
                let last = scene.input.last().cloned().unwrap_or_else(|| Line { number: 0, text: String::new() });
                return Err(Wrong { line: last, expected: format!("no reply to {client} in this scene"), got });
            }
        }
        Ok(())
    }

    fn words(&self, line: &Line, command: &str) -> Result<Vec<Vec<u8>>, Wrong> {
        let placeholder = |name: &str| {
            if let Some(length) = name.strip_prefix("bytes ") {
                return length.parse().map(|length| vec![b'x'; length]).map_err(|_| format!("{length} is no number"));
            }
            let number = match name.strip_prefix("now") {
                Some(offset) if offset.starts_with(['+', '-']) => {
                    let offset: i64 = offset.parse().map_err(|_| format!("{offset} is no number"))?;
                    self.stage.now_ms().saturating_add_signed(offset)
                }
                _ => *self.names.get(name).ok_or_else(|| format!("<{name}> is not known yet"))?,
            };
            Ok(number.to_string().into_bytes())
        };
        words(command, placeholder).map_err(|why| wrong(line, "words", &why))
    }
}

/// The one reply, as many times as there are commands.
fn for_each(reply: &Line, scene: &Scene) -> VecDeque<Line> {
    let commands = scene.input.iter().filter_map(|line| line.text.split_once(": "));
    commands
        .map(|(client, _)| {
            let client = client.strip_prefix("eventually ").unwrap_or(client);
            Line { number: reply.number, text: reply.text.replacen("each", client, 1) }
        })
        .collect()
}

fn wrong(line: &Line, expected: &str, got: &str) -> Wrong {
    Wrong { line: line.clone(), expected: expected.to_owned(), got: got.to_owned() }
}

const NOTHING: &str = "nothing";
/// A minute of a stage's time, and of a busy machine's rather more.
const TRIES: usize = 30_000;
const BETWEEN_TRIES_MS: u64 = 2;
