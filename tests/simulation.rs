//! Random schedules: many connections send random commands, and every reply, and every answer to who is parked, must be
//! what the core's oracle says. `SEED=n` replays one schedule, `SCHEDULES=n` plays so many.
//!
//! Time must not decide: leases, windows and marks last for minutes. A lease that is to end does so by a RENEW of 1 ms,
//! after which both the oracle's clock and the real one run on; BLOCK is for ever or 1 ms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use corral_lease::ask::Ask;
use corral_lease::freshness::{Freshness, SoftDeadline};
use corral_lease::key::Other;
use corral_lease::rebuild::Memory;
use corral_lease::room::WaiterId;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use crate::harness::{eventually, Client, Reply, Server};
use crate::oracle::{Expected, Oracle};
use crate::stage::{Input, Reply as Told};

#[test]
fn any_schedule_goes_as_the_oracle_says_on_a_real_server() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse::<u64>().unwrap());
    let (first, count) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("SCHEDULES").unwrap_or(300)),
    };
    let server = Server::start();
    let mut pool = Vec::new();
    let mut sum = Sum::default();
    for seed in first..first + count {
        let mut schedule = Schedule::new(seed, &server, pool);
        schedule.play();
        schedule.end();
        sum.add(&schedule);
        pool = std::mem::take(&mut schedule.clients);
    }
    println!("{count} schedules from seed {first}: {sum:?}");
    // Or it has looked at nothing.
    assert!(count < 100 || sum.parked > count && sum.handovers * 20 > count && sum.void_fills * 20 > count, "{sum:?}");
}

/// What all schedules came across.
#[derive(Default, Debug)]
struct Sum {
    commands: u64,
    parked: u64,
    handovers: u64,
    fills: u64,
    void_fills: u64,
}

impl Sum {
    fn add(&mut self, schedule: &Schedule) {
        let other = &schedule.sum;
        self.commands += other.commands;
        self.parked += other.parked;
        self.handovers += other.handovers;
        self.fills += other.fills;
        self.void_fills += other.void_fills;
    }
}

struct Schedule<'a> {
    seed: u64,
    random: fastrand::Rng,
    server: &'a Server,
    control: Client,
    clients: Vec<Client>,
    /// Those that may call: the others are parked.
    idle: BTreeSet<usize>,
    keys: Vec<Key>,
    /// The connections that hold a TIED lease: key and the oracle's token.
    ties: BTreeMap<usize, (usize, Token)>,
    /// Those who are parked and will hold a TIED lease if they are promoted.
    parked_tied: BTreeSet<usize>,
    last_token: i64,
    values: u64,
    sum: Sum,
    /// What was sent, for who has to find out why it went wrong.
    history: String,
}

struct Key {
    name: String,
    oracle: Oracle,
    /// The oracle's tokens and the server's.
    tokens: BTreeMap<Token, i64>,
    parked: BTreeMap<WaiterId, usize>,
}

/// One command and what it must lead to.
struct Call {
    key: usize,
    line: String,
    ask: Option<Ask>,
    expected: Expected,
}

const START: u64 = 1_000_000;
const LONG_MS: u64 = 3_600_000;
/// No schedule takes as long, on the slowest machine.
const TOLERANCE_MS: i64 = 240_000;

impl<'a> Schedule<'a> {
    fn new(seed: u64, server: &'a Server, mut clients: Vec<Client>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Mostly small ones, which are more likely to be odd; now and then a herd.
        let count = if random.u8(..50) == 0 { random.usize(100..250) } else { random.usize(3..12) };
        while clients.len() < count {
            clients.push(server.client());
        }
        let mut control = server.client();
        assert!(control.run("FLUSHALL").is_ok());
        let keys = (0..random.usize(1..4)).map(|number| Key {
            name: format!("k{number}"),
            oracle: Oracle::new(START),
            tokens: BTreeMap::new(),
            parked: BTreeMap::new(),
        });
        let keys = keys.collect();
        Self {
            seed,
            random,
            server,
            control,
            clients,
            idle: (0..count).collect(),
            keys,
            ties: BTreeMap::new(),
            parked_tied: BTreeSet::new(),
            last_token: 0,
            values: 0,
            sum: Sum::default(),
            history: String::new(),
        }
    }

    fn play(&mut self) {
        let steps = self.random.usize(20..80) + self.idle.len();
        for _ in 0..steps {
            match self.random.u8(..20) {
                0 => self.hang_up_a_waiter(),
                1 => self.hang_up_a_tied_holder(),
                2 | 3 => self.run_out_a_lease(),
                _ => self.send(),
            }
        }
    }

    /// Everybody who still waits is answered by a SET, and nobody has been answered twice.
    fn end(&mut self) {
        for key in 0..self.keys.len() {
            for client in self.keys[key].parked.values() {
                assert!(!self.clients[*client].has_reply(), "answered without a cause");
            }
        }
        let leases = self.control.run("CACHE.LEASES COUNT 1000");
        let names: Vec<String> = leases.list().iter().map(|lease| lease.list()[1].text()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two live leases: {leases:?}");
        for key in 0..self.keys.len() {
            let expected =
                self.keys[key].oracle.put(&Input::Set { value: b"end".to_vec().into(), freshness: FOR_EVER });
            let line = format!("CACHE.SET {} end", self.keys[key].name);
            self.note(&line);
            assert!(self.control.run(&line).is_ok());
            self.take_answers(key, expected);
            assert!(self.keys[key].parked.is_empty(), "lost");
        }
        for client in &mut self.clients {
            client.send("PING");
        }
        for client in &mut self.clients {
            assert_eq!(client.read(), Reply::Word("PONG".to_owned()), "answered twice");
        }
    }

    /// A batch of commands in one packet; the last may park its client.
    fn send(&mut self) {
        let Some(client) = self.pick_idle() else { return };
        let in_multi = self.random.u8(..10) == 0;
        let count = if self.random.bool() { 1 } else { self.random.usize(1..5) };
        let mut calls: Vec<Call> = Vec::new();
        for index in 0..count {
            let may_park = index + 1 == count && !in_multi;
            // A command that would name a token of this very batch cannot be written yet.
            calls.push(self.call(client, may_park, in_multi));
        }
        let mut lines: Vec<&str> = calls.iter().flat_map(|call| call.line.split('\n')).collect();
        if in_multi {
            lines.insert(0, "MULTI");
            lines.push("EXEC");
        }
        self.sum.commands += lines.len() as u64;
        self.history.push_str(&format!("{client}: {}\n", lines.join(" | ")));
        let (sent, parks) =
            (lines.len(), matches!(calls.last().map(|call| &call.expected.reply), Some(Told::Parked { .. })));
        self.clients[client].send_together(&lines);
        let mut replies: Vec<Reply> = (0..sent - usize::from(parks)).map(|_| self.clients[client].read()).collect();
        if in_multi {
            let executed = replies.pop().unwrap();
            assert!(replies.iter().all(|reply| matches!(reply, Reply::Word(_))), "{replies:?}");
            replies = executed.list().to_vec();
        }
        let mut replies = replies.into_iter();
        for Call { key, line, ask, expected } in calls {
            if let Told::Parked { id, .. } = expected.reply {
                if ask.is_some_and(|ask| ask.tied) {
                    self.parked_tied.insert(client);
                }
                self.park(key, client, id, &line);
            } else {
                // Of several lines, the last one's reply is the command's.
                let reply = line.split('\n').filter_map(|_| replies.next()).last().unwrap();
                if let Some(token) = self.compare(key, &expected.reply, &reply) {
                    if ask.is_some_and(|ask| ask.tied) {
                        self.ties.insert(client, (key, token));
                    }
                }
            }
            self.take_answers(key, expected);
        }
    }

    fn park(&mut self, key: usize, client: usize, id: WaiterId, line: &str) {
        self.idle.remove(&client);
        self.sum.parked += 1;
        self.keys[key].parked.insert(id, client);
        if line.contains("BLOCK 1 ") {
            self.time_runs(key);
        } else {
            self.settle(key);
        }
    }

    /// A random command by `client`, as the oracle sees it, too.
    fn call(&mut self, client: usize, may_park: bool, in_multi: bool) -> Call {
        let key = self.random.usize(..self.keys.len());
        let name = self.keys[key].name.clone();
        let (oracle_token, token) = self.token(key);
        self.values += 1;
        let value = format!("v{}", self.values);
        let bytes: std::sync::Arc<[u8]> = value.as_bytes().into();
        let mut asked = None;
        let (input, line) = match self.random.u8(..32) {
            0..=13 => {
                let ask = Ask {
                    lease_ms: self.random.u64(200_000..=300_000),
                    early_beta: 0.0,
                    no_stale: self.random.u8(..3) == 0,
                    force: self.random.u8(..8) == 0,
                    tied: !self.ties.contains_key(&client) && !in_multi && may_park && self.random.u8(..4) == 0,
                };
                asked = Some(ask);
                let block_ms = [None, Some(0), Some(0), Some(0), Some(1)][self.random.usize(..5)];
                // Inside MULTI nobody parks, whatever was asked.
                let block_ms = if may_park || in_multi { block_ms } else { None };
                let mut line = format!("CACHE.GETORLOCK {name} LEASE {}", ask.lease_ms);
                for (option, given) in [("NOSTALE", ask.no_stale), ("FORCE", ask.force), ("TIED", ask.tied)] {
                    if given {
                        write!(line, " {option}").unwrap();
                    }
                }
                if let Some(ms) = block_ms {
                    write!(line, " BLOCK {ms} ").unwrap();
                }
                (Input::Ask { ask, block_ms: block_ms.filter(|_| !in_multi) }, line)
            }
            14..=18 => {
                let (freshness, options) = self.freshness();
                let input = Input::Fill { token: oracle_token, value: bytes, freshness, memory: Memory::Free };
                (input, format!("CACHE.FILL {name} {token} {value}{options}"))
            }
            19 => {
                let (freshness, options) = self.freshness();
                (Input::Touch { token: oracle_token, freshness }, format!("CACHE.TOUCH {name} {token}{options}"))
            }
            20 => {
                let backoff_ms = if self.random.bool() { 0 } else { LONG_MS };
                let line = format!("CACHE.FAIL {name} {token} {value} BACKOFF {backoff_ms}");
                (Input::Fail { token: oracle_token, message: bytes, backoff_ms }, line)
            }
            21 => (
                Input::Pass { token: oracle_token, pass_ms: LONG_MS },
                format!("CACHE.PASS {name} {token} PX {LONG_MS}"),
            ),
            22 => {
                let ms = self.random.u64(200_000..=400_000);
                (Input::Renew { token: oracle_token, ms }, format!("CACHE.RENEW {name} {token} {ms}"))
            }
            23 | 24 => (Input::Release { token: oracle_token }, format!("CACHE.RELEASE {name} {token}")),
            25 => {
                let (freshness, options) = self.freshness();
                (Input::Set { value: bytes, freshness }, format!("CACHE.SET {name} {value}{options}"))
            }
            26 | 27 => (Input::Invalidate, format!("CACHE.INVALIDATE {name}")),
            28 => (Input::Delete, format!("DEL {name}")),
            29 => {
                let line = format!("CACHE.SET other {value}\nRENAME other {name}");
                (Input::Overwrite { value: bytes, freshness: FOR_EVER }, line)
            }
            30 if self.random.bool() => {
                let text = Other::String { value: bytes, fresh_until: UnixMs::NEVER };
                (Input::Retype(text), format!("SET {name} {value}"))
            }
            30 => (Input::Retype(Other::Foreign), format!("DEL {name}\nRPUSH {name} {value}")),
            _ => (Input::Get, format!("CACHE.GET {name}")),
        };
        let expected = self.keys[key].oracle.put(&input);
        if let Input::Fill { .. } = input {
            self.sum.fills += u64::from(expected.reply == Told::Ok);
            self.sum.void_fills += u64::from(expected.reply == Told::Nil);
        }
        Call { key, line, ask: asked, expected }
    }

    /// Any token of this key that was granted, the last one most likely; now and then one that never was.
    fn token(&mut self, key: usize) -> (Token, i64) {
        let tokens = &self.keys[key].tokens;
        if tokens.is_empty() || self.random.u8(..20) == 0 {
            return (Token::new(1).unwrap(), 1);
        }
        let back = if self.random.bool() { 0 } else { self.random.usize(..tokens.len()) };
        tokens.iter().rev().nth(back).map(|(oracle, server)| (*oracle, *server)).unwrap()
    }

    fn freshness(&mut self) -> (Freshness, String) {
        // Windows of a deadline long past reach beyond today all the same.
        let window = |random: &mut fastrand::Rng| if random.bool() { 9_007_199_254_740_000 } else { 0 };
        let (swr_ms, sie_ms) = (window(&mut self.random), window(&mut self.random));
        match self.random.u8(..4) {
            0 => (FOR_EVER, String::new()),
            1 => {
                let soft = SoftDeadline::In(LONG_MS);
                let freshness = Freshness { soft, swr_ms: 0, sie_ms: LONG_MS, jitter_percent: 0 };
                (freshness, format!(" PX {LONG_MS} SIE {LONG_MS}"))
            }
            _ => {
                let soft = SoftDeadline::At(UnixMs::new(1));
                let freshness = Freshness { soft, swr_ms, sie_ms, jitter_percent: 0 };
                (freshness, format!(" PXAT 1 SWR {swr_ms} SIE {sie_ms}"))
            }
        }
    }

    /// The current lease of a key is renewed to its end, and the scheduler finds it.
    fn run_out_a_lease(&mut self) {
        let key = self.random.usize(..self.keys.len());
        let Some(lease) = self.keys[key].oracle.key.lease else { return };
        let token = Token::new(lease.token).unwrap();
        let expected = self.keys[key].oracle.put(&Input::Renew { token, ms: 1 });
        let line = format!("CACHE.RENEW {} {} 1", self.keys[key].name, self.keys[key].tokens[&token]);
        self.note(&line);
        let reply = self.control.run(&line);
        self.compare(key, &expected.reply, &reply);
        self.time_runs(key);
    }

    /// What ends after a millisecond has ended.
    fn time_runs(&mut self, key: usize) {
        sleep(Duration::from_millis(3));
        for each in &mut self.keys {
            each.oracle.key.now += 2;
        }
        let expected = self.keys[key].oracle.put(&Input::Advance);
        self.take_answers(key, expected);
    }

    fn hang_up_a_waiter(&mut self) {
        let key = self.random.usize(..self.keys.len());
        let parked = self.keys[key].parked.iter().map(|(id, client)| (*id, *client));
        // With a tie in hand it would be two things at once, in an order of the server's own.
        let parked: Vec<(WaiterId, usize)> = parked.filter(|(_, client)| !self.ties.contains_key(client)).collect();
        let Some((id, client)) = self.random.choice(&parked).copied() else { return };
        self.note(&format!("{client} hangs up"));
        self.keys[key].parked.remove(&id);
        self.keys[key].oracle.put(&Input::Leave(id));
        self.replace(client);
        self.settle(key);
    }

    fn hang_up_a_tied_holder(&mut self) {
        let ties: Vec<usize> = self.ties.keys().copied().filter(|client| self.idle.contains(client)).collect();
        let Some(client) = self.random.choice(&ties).copied() else { return };
        let (key, token) = self.ties[&client];
        self.note(&format!("{client}, a tied holder, hangs up"));
        let expected = self.keys[key].oracle.put(&Input::HolderGone { token });
        self.replace(client);
        self.take_answers(key, expected);
        let (name, token) = (self.keys[key].name.clone(), self.keys[key].tokens[&token].to_string());
        let control = &mut self.control;
        eventually("the lease has ended", || {
            !format!("{:?}", control.run(&format!("CACHE.INFO {name}"))).contains(&token)
        });
    }

    /// Another connection in this one's place.
    fn replace(&mut self, client: usize) {
        let fresh = self.server.client();
        std::mem::replace(&mut self.clients[client], fresh).hang_up();
        self.idle.insert(client);
        self.ties.remove(&client);
        self.parked_tied.remove(&client);
    }

    /// Waits until as many clients are parked as the oracle says.
    fn settle(&mut self, key: usize) {
        let wanted = self.keys[key].oracle.waiting.len() as i64;
        let line = format!("CACHE.INFO {}", self.keys[key].name);
        let control = &mut self.control;
        eventually("so many are parked", || match control.run(&line) {
            Reply::List(info) => Reply::List(info).field("waiters").number() == wanted,
            // Nothing here, or another type: there is nothing to ask for.
            _ => true,
        });
    }

    /// Everybody who is to be answered is, with what the oracle says.
    fn take_answers(&mut self, key: usize, expected: Expected) {
        for (id, answer) in expected.wakes {
            let client = self.keys[key].parked.remove(&id).expect("the oracle wakes who is parked");
            let reply = self.clients[client].read();
            self.idle.insert(client);
            let asked_tied = self.parked_tied.remove(&client);
            if let Some(token) = self.compare(key, &Told::Answer(answer), &reply) {
                self.sum.handovers += 1;
                if asked_tied {
                    self.ties.insert(client, (key, token));
                }
            }
        }
        for id in expected.refusals {
            let client = self.keys[key].parked.remove(&id).expect("the oracle refuses who is parked");
            let reply = self.clients[client].read();
            self.parked_tied.remove(&client);
            self.idle.insert(client);
            self.compare(key, &Told::WrongType, &reply);
        }
    }

    /// The token that the reply grants, if it is what it should be.
    fn compare(&mut self, key: usize, expected: &Told, reply: &Reply) -> Option<Token> {
        let wrong = |why: &str| panic!("{why}: {reply:?} instead of {expected:?}");
        match expected {
            Told::Answer(answer) => {
                let told = reply.triple();
                let same =
                    told.state == answer.state().word().to_str().unwrap() && told.value.as_deref() == answer.payload();
                if !same {
                    wrong("another answer");
                }
                if let Some(token) = answer.granted() {
                    if told.number <= self.last_token {
                        wrong("a token that did not grow");
                    }
                    self.last_token = told.number;
                    self.keys[key].tokens.insert(token, told.number);
                    return Some(token);
                }
                if !is_near(told.number, answer.number()) {
                    wrong("another number");
                }
            }
            Told::Ok if !reply.is_ok() => wrong("not OK"),
            Told::Nil if *reply != Reply::Nil => wrong("not nil"),
            Told::WrongType if !matches!(reply, Reply::Error(error) if error.starts_with("WRONGTYPE")) => {
                wrong("not refused");
            }
            Told::Number(number) if !is_near(reply.number(), *number as i64) => wrong("another number"),
            _ => {}
        }
        None
    }

    fn pick_idle(&mut self) -> Option<usize> {
        let idle: Vec<usize> = self.idle.iter().copied().collect();
        self.random.choice(&idle).copied()
    }

    fn note(&mut self, line: &str) {
        self.history.push_str(line);
        self.history.push('\n');
    }
}

impl Drop for Schedule<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- SEED={} replays this schedule ---\n{}", self.seed, self.history);
        }
    }
}

/// Verdicts (-1, 0, 1) are exact; times may have run on.
fn is_near(told: i64, expected: i64) -> bool {
    match expected {
        -1..=1 => told == expected || expected == 1 && told == 0,
        // The oracle's milliseconds are its own: an answer can have been given one or two of them sooner.
        _ => told <= expected + 10 && told >= expected - TOLERANCE_MS,
    }
}

const FOR_EVER: Freshness = Freshness { soft: SoftDeadline::Never, swr_ms: 0, sie_ms: 0, jitter_percent: 0 };
