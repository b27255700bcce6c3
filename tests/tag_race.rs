//! Builders, readers and invalidations by tag that run against each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::harness::{Server, Triple};

/// The same while servers are killed, replaced, and while the slot moves.
mod upheaval;

/// Two of eight tags for each key.
const TAGS: usize = 8;

fn tags_of(key: usize) -> (usize, usize) {
    (key % TAGS, (key + 1 + key / TAGS % (TAGS - 1)) % TAGS)
}

/// The source is a counter for each tag. A value is what both of its counters said when its build began.
struct Race {
    source: Vec<AtomicU64>,
    /// What the source said before the last invalidation that was answered.
    invalidated: Vec<AtomicU64>,
    answers: AtomicU64,
    fresh: AtomicU64,
    stored: AtomicU64,
    void: AtomicU64,
    /// Invalidations that were answered.
    invalidations: AtomicU64,
    over: AtomicBool,
}

const KEYS: usize = 24;

impl Race {
    fn new() -> Self {
        let counters = || (0..TAGS).map(|_| AtomicU64::new(0)).collect();
        Self {
            source: counters(),
            invalidated: counters(),
            answers: AtomicU64::new(0),
            fresh: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            void: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    fn known(&self) -> Vec<u64> {
        self.invalidated.iter().map(|counter| counter.load(SeqCst)).collect()
    }

    /// Holds an answer against what its asker knew when it asked.
    fn judge(&self, key: usize, answer: &Triple, known: &[u64]) {
        self.answers.fetch_add(1, SeqCst);
        if answer.state != "HIT" {
            return;
        }
        self.fresh.fetch_add(1, SeqCst);
        let (first, second) = tags_of(key);
        let text = answer.text();
        let (one, other) = text.split_once(',').unwrap();
        let built: [u64; 2] = [one.parse().unwrap(), other.parse().unwrap()];
        assert!(built[0] >= known[first] && built[1] >= known[second], "{answer:?} of key {key} to who knew {known:?}");
    }

    fn invalidate(&self, server: &Server, pause: Duration) {
        let mut client = server.client();
        while !self.over.load(SeqCst) {
            let tag = fastrand::usize(..TAGS);
            let now = self.source[tag].fetch_add(1, SeqCst) + 1;
            assert!(client.run(&format!("CACHE.INVALIDATETAG 1 tag{tag}")).is_ok());
            self.invalidated[tag].store(now, SeqCst);
            self.invalidations.fetch_add(1, SeqCst);
            std::thread::sleep(pause);
        }
    }

    fn build(&self, server: &Server, mut key: usize, pause: Duration) {
        let mut client = server.client();
        while !self.over.load(SeqCst) {
            key = (key + 1) % KEYS;
            let known = self.known();
            let answer = client.ask(&format!("CACHE.GETORLOCK page{key} LEASE 20000 BLOCK 1000"));
            self.judge(key, &answer, &known);
            if !matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
                continue;
            }
            let (first, second) = tags_of(key);
            let value = format!("{},{}", self.source[first].load(SeqCst), self.source[second].load(SeqCst));
            std::thread::sleep(pause);
            let token = answer.token();
            let line =
                format!("CACHE.FILL page{key} {token} {value} PX 3600000 SWR 1000 TAGS 2 tag{first} tag{second}");
            let filled = client.run(&line);
            assert!(filled.is_ok() || filled.is_nil(), "{filled:?}");
            if filled.is_ok() { &self.stored } else { &self.void }.fetch_add(1, SeqCst);
        }
    }

    /// Reads every key in one call, which its answers are asked by.
    fn read(&self, server: &Server, wanted: u64) {
        let mut client = server.client();
        let all: Vec<String> = (0..KEYS).map(|key| format!("page{key}")).collect();
        let line = format!("CACHE.MGET {}", all.join(" "));
        while self.answers.load(SeqCst) < wanted || self.fresh.load(SeqCst) == 0 || self.void.load(SeqCst) == 0 {
            if self.over.load(SeqCst) {
                return;
            }
            let known = self.known();
            for (key, answer) in client.run(&line).list().iter().enumerate() {
                self.judge(key, &answer.triple(), &known);
            }
        }
        self.over.store(true, SeqCst);
    }

    /// Runs until so many questions are answered, and some builds were overtaken.
    fn run(builders: usize, build: Duration, pause: Duration, answers: u64) {
        let server = Server::start();
        let race = Self::new();
        std::thread::scope(|scope| {
            let mut threads = vec![scope.spawn(|| race.invalidate(&server, pause))];
            for number in 0..builders {
                let (race, server) = (&race, &server);
                threads.push(scope.spawn(move || race.build(server, number, build)));
            }
            threads.push(scope.spawn(|| race.read(&server, answers)));
            // A thread that panicked must not leave the others running for ever.
            while !race.over.load(SeqCst) {
                if threads.iter().any(|thread| thread.is_finished()) {
                    race.over.store(true, SeqCst);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        race.report();
    }

    fn report(&self) {
        let said = [&self.answers, &self.fresh, &self.stored, &self.void, &self.invalidations];
        let [answers, fresh, stored, void, invalidations] = said.map(|counter| counter.load(SeqCst));
        eprintln!("{answers} answers, {fresh} of them fresh; {stored} fills stored, {void} void; {invalidations} invalidations");
    }
}

#[test]
fn no_fresh_answer_is_older_than_the_last_invalidation_before_its_question() {
    Race::run(6, Duration::from_millis(20), Duration::from_millis(4), 3000);
}

/// Fifty builders of 100 ms, an invalidation every 20 ms.
#[test]
#[ignore = "takes minutes"]
fn no_fresh_answer_in_a_million_is_older_than_the_last_invalidation_before_its_question() {
    Race::run(50, Duration::from_millis(100), Duration::from_millis(20), 1_000_000);
}
