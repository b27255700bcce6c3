//! The language of the stories: one line, one input; what it led to comes out as text.
//!
//! ```text
//! a: GETORLOCK LEASE 1000 BLOCK 0     client a calls; the options are the command's own, and so are the defaults
//! a: FILL T1 v PX 500 SWR 200         T1 is the first token granted in the story; PXAT counts from its start, too
//! a: FILL T1 v OOM                    the server is over maxmemory
//! a: DEL                              stands for every way a key can go
//! a: RENAME-OVER v PX 500             another key, with this value, is renamed to this one
//! a: STRING v PX 500                  an ordinary string is stored here
//! a: LIST                             something of another type is stored here
//! gone a                              a's connection closes: it waits no more, and its TIED leases end
//! at 1000                             time runs; the scheduler rings at the moments the room asks for
//! busy until 1000                     time runs, but the scheduler does not get to ring
//! advance                             the scheduler rings, asked for or not
//! random 0.5                          what every draw gives from here on (1 at first)
//! look                                what the key holds now, and who waits
//! ```

mod words;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use corral_lease::ask::Answer;
use corral_lease::key::{Effect, Grantee, LeaseEnd, Other};
use corral_lease::rebuild::Memory;
use corral_lease::room::WaiterId;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use self::words::Words;
use crate::stage::{Input, Reply, Stage, Turn};

/// Where stories begin, in ms since the epoch. All moments in them count from here.
const START: UnixMs = UnixMs::new(1_700_000_000_000);

/// One story: a key, its clients, and what has come out of the present scene.
pub struct Story {
    stage: Stage,
    parked: BTreeMap<WaiterId, String>,
    tied: BTreeMap<Token, String>,
    /// In the order they were granted: T1, T2 and so on.
    tokens: Vec<Token>,
    told: String,
}

impl Story {
    pub fn new() -> Self {
        Self {
            stage: Stage::new(START),
            parked: BTreeMap::new(),
            tied: BTreeMap::new(),
            tokens: Vec::new(),
            told: String::new(),
        }
    }

    /// Plays one scene, and tells what happened.
    pub fn play(&mut self, scene: &str) -> Result<String, String> {
        for line in scene.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                self.line(line).map_err(|why| format!("{line}: {why}"))?;
            }
        }
        Ok(std::mem::take(&mut self.told))
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some((client, call)) = line.split_once(": ") {
            return self.call(client, Words::of(call));
        }
        let mut words = Words::of(line);
        match words.next()? {
            "at" => {
                let moment = START.plus(words.number()?);
                for (moment, turn) in self.stage.run_until(moment) {
                    self.tell(format_args!("at {}:", START.until(moment)));
                    self.tell_effects(&turn, "");
                }
            }
            "busy" if words.takes("until") => self.stage.now = START.plus(words.number()?),
            "advance" => {
                let turn = self.stage.put(Input::Advance);
                self.tell_effects(&turn, "");
            }
            "random" => self.stage.chance = words.next()?.parse().map_err(|_| "no number")?,
            "look" => self.look(),
            "gone" => {
                let client = words.next()?;
                self.close(client);
            }
            other => return Err(format!("{other} is no word of this language")),
        }
        words.finish()
    }

    fn call(&mut self, client: &str, mut words: Words) -> Result<(), String> {
        if self.parked.values().any(|name| name == client) {
            return Err(format!("{client} is parked and cannot call"));
        }
        let input = self.input(&mut words)?;
        words.finish()?;
        let turn = self.stage.put(input);
        if let Reply::Parked { id, .. } = turn.reply {
            self.parked.insert(id, client.to_owned());
        }
        self.name_tokens(&turn);
        let reply = self.reply_text(&turn.reply);
        self.tell(format_args!("{client}: {reply}"));
        self.tell_effects(&turn, client);
        Ok(())
    }

    fn input(&self, words: &mut Words) -> Result<Input, String> {
        Ok(match words.next()? {
            "GETORLOCK" => {
                let (ask, block_ms) = words.ask()?;
                Input::Ask { ask, block_ms }
            }
            "FILL" => Input::Fill {
                token: self.token(words.next()?)?,
                value: Arc::from(words.next()?.as_bytes()),
                memory: if words.takes("OOM") { Memory::Full } else { Memory::Free },
                freshness: words.freshness()?,
            },
            "SET" => Input::Set { value: Arc::from(words.next()?.as_bytes()), freshness: words.freshness()? },
            "GET" => Input::Get,
            "RENEW" => Input::Renew { token: self.token(words.next()?)?, ms: words.number()? },
            "RELEASE" => Input::Release { token: self.token(words.next()?)? },
            "FAIL" => Input::Fail {
                token: self.token(words.next()?)?,
                message: Arc::from(words.next()?.as_bytes()),
                backoff_ms: if words.takes("BACKOFF") { words.number()? } else { 1000 },
            },
            "PASS" => Input::Pass {
                token: self.token(words.next()?)?,
                pass_ms: if words.takes("PX") { words.number()? } else { 60_000 },
            },
            "TOUCH" => Input::Touch { token: self.token(words.next()?)?, freshness: words.freshness()? },
            "INVALIDATE" => Input::Invalidate,
            "DEL" => Input::Delete,
            "RENAME-OVER" => {
                Input::Overwrite { value: Arc::from(words.next()?.as_bytes()), freshness: words.freshness()? }
            }
            "STRING" => Input::Retype(Other::String {
                value: Arc::from(words.next()?.as_bytes()),
                fresh_until: words.freshness()?.resolve(self.stage.now, || 1.0).fresh_until,
            }),
            "LIST" => Input::Retype(Other::Foreign),
            other => return Err(format!("{other} is no command")),
        })
    }

    /// As the shell does: the client's place in the room is given up, and whatever leases it holds TIED end, whether or
    /// not they are still the key's own.
    fn close(&mut self, client: &str) {
        let waits = self.parked.iter().find(|(_, name)| *name == client).map(|(id, _)| *id);
        if let Some(id) = waits {
            self.parked.remove(&id);
            self.stage.put(Input::Leave(id));
        }
        let held: Vec<Token> = self.tied.iter().filter(|(_, name)| *name == client).map(|(token, _)| *token).collect();
        for token in held {
            self.tied.remove(&token);
            let turn = self.stage.put(Input::HolderGone { token });
            self.tell_effects(&turn, "");
        }
    }

    fn name_tokens(&mut self, turn: &Turn) {
        for effect in &turn.effects {
            if let Effect::Granted { lease, .. } = effect {
                if !self.tokens.contains(&lease.token) {
                    self.tokens.push(lease.token);
                }
            }
        }
    }

    fn tell_effects(&mut self, turn: &Turn, caller: &str) {
        self.name_tokens(turn);
        for effect in &turn.effects {
            match effect {
                Effect::Wake { waiters, answer } => {
                    let answer = self.answer_text(answer);
                    for id in waiters {
                        let name = self.parked.remove(id).expect("only who is parked is woken, and once");
                        self.tell(format_args!("{name}: {answer}"));
                    }
                }
                Effect::Refuse { waiters } => {
                    for id in waiters {
                        let name = self.parked.remove(id).expect("only who is parked is refused, and once");
                        self.tell(format_args!("{name}: WRONGTYPE"));
                    }
                }
                Effect::Granted { lease, to } => {
                    let to = match to {
                        Grantee::Caller => caller.to_owned(),
                        Grantee::Waiter(id) => self.parked[id].clone(),
                    };
                    let (token, ends) = (self.name(lease.token), START.until(lease.deadline));
                    self.tell(format_args!("{token} granted to {to} until {ends}"));
                    if lease.tied {
                        self.tied.insert(lease.token, to);
                    }
                }
                Effect::Renewed { lease } => {
                    let (token, ends) = (self.name(lease.token), START.until(lease.deadline));
                    self.tell(format_args!("{token} renewed until {ends}"));
                }
                Effect::Ended { lease, end } => {
                    let token = self.name(lease.token);
                    self.tell(format_args!("{token} {}", end_word(*end)));
                }
            }
        }
    }

    fn look(&mut self) {
        let Stage { entry, other, now, .. } = &self.stage;
        let now = *now;
        let mut seen = String::from("key:");
        if other.is_some() {
            seen.push_str(" of another type");
        } else if entry.is_vacant(now) {
            seen.push_str(" nothing");
        } else {
            self.describe(&mut seen);
        }
        let waiting: Vec<&str> = self.parked.values().map(String::as_str).collect();
        if !waiting.is_empty() {
            write!(seen, "; waiting: {}", waiting.join(" ")).unwrap();
        }
        self.tell(format_args!("{seen}"));
    }

    fn describe(&self, seen: &mut String) {
        let Stage { entry, now, .. } = &self.stage;
        let now = *now;
        write!(seen, " kept for {}", left(now, entry.kept_until())).unwrap();
        if let Some(value) = entry.value() {
            let (fresh, built) = (left(now, entry.fresh_until()), entry.build_ms());
            write!(seen, ", {} fresh for {fresh}, built in {built}", text(value)).unwrap();
        }
        if let Some(lease) = entry.lease() {
            write!(seen, ", {} has {}", self.name(lease.token), left(now, lease.deadline)).unwrap();
        }
        if let Some(failure) = entry.backing_off(now) {
            write!(seen, ", backs off for {}", left(now, failure.until)).unwrap();
        }
        if let Some(until) = entry.passing(now) {
            write!(seen, ", passes for {}", left(now, until)).unwrap();
        }
    }

    fn reply_text(&self, reply: &Reply) -> String {
        match reply {
            Reply::Answer(answer) => self.answer_text(answer),
            Reply::Parked { behind, .. } => format!("parked behind {}", self.name(*behind)),
            Reply::Ok => "OK".to_owned(),
            Reply::Nil => "nil".to_owned(),
            Reply::OutOfMemory => "OOM".to_owned(),
            Reply::WrongType => "WRONGTYPE".to_owned(),
            Reply::Number(number) => number.to_string(),
            Reply::Nobody => "done".to_owned(),
        }
    }

    /// `[state, value, number]`, with a token by its name.
    fn answer_text(&self, answer: &Answer) -> String {
        let number = answer.granted().map_or_else(|| answer.number().to_string(), |token| self.name(token));
        let payload = answer.payload().map_or_else(|| "nil".to_owned(), text);
        format!("[{}, {payload}, {number}]", answer.state().word().to_str().unwrap())
    }

    fn name(&self, token: Token) -> String {
        let index = self.tokens.iter().position(|known| *known == token).expect("a token that was granted");
        format!("T{}", index + 1)
    }

    /// The token of a name. `T0` was never granted to anybody.
    fn token(&self, name: &str) -> Result<Token, String> {
        let number: usize = name.strip_prefix('T').and_then(|number| number.parse().ok()).ok_or("no token")?;
        match number.checked_sub(1) {
            None => Token::new(1).ok_or_else(|| "no token".to_owned()),
            Some(index) => self.tokens.get(index).copied().ok_or_else(|| format!("{name} was not granted yet")),
        }
    }

    fn tell(&mut self, line: std::fmt::Arguments) {
        writeln!(self.told, "{line}").unwrap();
    }
}

/// ms from `now` to `moment`, or "ever".
fn left(now: UnixMs, moment: UnixMs) -> String {
    match moment.is_never() {
        true => "ever".to_owned(),
        false => now.until(moment).to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How the scripts call the end of a lease.
const fn end_word(end: LeaseEnd) -> &'static str {
    match end {
        LeaseEnd::Filled => "filled",
        LeaseEnd::Touched => "touched",
        LeaseEnd::Replaced => "replaced",
        LeaseEnd::Failed => "failed",
        LeaseEnd::Passed => "passed",
        LeaseEnd::Invalidated => "invalidated",
        LeaseEnd::Released => "released",
        LeaseEnd::HolderGone => "holder-gone",
        LeaseEnd::Expired => "expired",
    }
}
