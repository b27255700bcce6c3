//! One client among many: it does one random thing after another, and notices when an answer is missing or wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::groups::NAMES;
use super::own::OwnKey;
use super::scene::Scene;
use crate::harness::{Client, Reply};

/// Keys that everybody fights for.
const SHARED_KEYS: usize = 20;
/// Keys of each visitor alone.
const OWN_KEYS: usize = 3;
/// Time between two commands, at most: the machine is to be busy, not drowned.
const THINKING: Duration = Duration::from_millis(30);

/// What else is done to shared keys. `K` and `O` are two of them, `I` is somebody's connection, `V` a value.
const ERRANDS: [&str; 64] = [
    "CACHE.GET K",
    "CACHE.GET K",
    "CACHE.INFO K",
    "CACHE.LEASES",
    "CACHE.LEASES COUNT 5 MINAGE 10",
    "CACHE.INVALIDATE K O",
    "CACHE.INVALIDATE K",
    "CACHE.SET K V PX 50 SWR 100 SIE 300 JITTER 20",
    "CACHE.SET K V PXAT 1 SWR 5000",
    "CACHE.SET K V",
    "CACHE.FILL K 12345 V",
    "CACHE.RELEASE K 12345",
    "CACHE.MGETORLOCK 3 K O K LEASE 100",
    "CACHE.MGET K O",
    "CACHE.SET K V NX PX 200",
    "CACHE.SET K V PX 100 SWR 100 TAGS 2 news shop",
    "CACHE.SET K V PX 300 VERSION 6",
    "CACHE.INVALIDATETAG 1 shop",
    "CACHE.INVALIDATETAG 2 shop news SWR 20",
    "CACHE.OUTDATE K 5 PX 200",
    "CACHE.TAGS shop news",
    "CACHE.TOP BY saved",
    "CACHE.VERSION",
    "CACHE.MGETORLOCK 2 K O LEASE 100 FORCE NOSTALE TIED",
    "CACHE.GETORLOCK K GROUP news LEASE 100 BLOCK 0",
    "CACHE.MGETORLOCK 3 K O K LEASE 100 GROUP shop ONCE 100",
    "CACHE.LEASES COUNT 20 GROUP news",
    "CACHE.GETORLOCK K NONSENSE",
    "CACHE.APPLY K header",
    "DEL K",
    "UNLINK K O",
    "RENAME K O",
    "COPY K O REPLACE",
    "PEXPIRE K 200",
    "PEXPIRE K 0",
    "PERSIST K",
    "SET K V PX 300",
    "LPUSH K V",
    "GET K",
    "TYPE K",
    "DUMP K",
    "TOUCH K",
    "MEMORY USAGE K",
    "OBJECT ENCODING K",
    "OBJECT IDLETIME K",
    "SCAN 0 COUNT 50 TYPE corralkey",
    "RANDOMKEY",
    "INFO corral",
    "INFO everything",
    "CLIENT LIST",
    "CLIENT UNBLOCK I",
    "CLIENT UNBLOCK I ERROR",
    "CLIENT KILL ID I",
    "COMMAND DOCS CACHE.GETORLOCK",
    "CLIENT TRACKING ON REDIRECT I",
    "CLIENT TRACKING OFF",
    "WATCH K",
    "UNWATCH",
    "MULTI|CACHE.GETORLOCK K BLOCK 0 LEASE 100|CACHE.SET K V PX 100|DEL O|EXEC",
    "MULTI|CACHE.GETORLOCK K GROUP shop BLOCK 0 LEASE 100|CACHE.GETORLOCK O GROUP shop NOTIFY|EXEC",
    "MULTI|CACHE.GETORLOCK K|CACHE.FILL K 12345 V|DISCARD",
    "EVAL return(redis.call('CACHE.GETORLOCK',KEYS[1],'GROUP','search','LEASE','100')) 1 K",
    "EVAL return(redis.call('CACHE.GETORLOCK',KEYS[1],'GROUP','news','ONCE','50','LEASE','100')) 1 K",
    "EVAL return(redis.call('CACHE.GETORLOCK',KEYS[1],'BLOCK','0','LEASE','100')) 1 K",
];

/// What those do who are at home in a database without anybody's own keys.
const STRAYS_ERRANDS: [&str; 4] = ["SWAPDB 1 2", "FLUSHDB", "FLUSHDB ASYNC", "MOVE K 1"];

pub struct Visitor<'a> {
    scene: &'a Scene,
    number: usize,
    chance: fastrand::Rng,
    client: Option<Client>,
    own: Vec<OwnKey>,
}

impl<'a> Visitor<'a> {
    pub fn new(scene: &'a Scene, number: usize) -> Self {
        let chance = fastrand::Rng::with_seed(scene.seed.wrapping_add(number as u64));
        // One in four strays.
        let keys = if number % 4 == 3 { 0 } else { OWN_KEYS };
        let own = (0..keys).map(|key| OwnKey::new(format!("own:{number}:{key}"))).collect();
        Self { scene, number, chance, client: None, own }
    }

    /// Stays until the scene is over.
    pub fn visit(mut self) {
        while !self.scene.is_over() {
            if self.scene.rests() {
                self.rest();
            } else {
                self.act();
                std::thread::sleep(THINKING.mul_f64(self.chance.f64()));
            }
        }
    }

    /// Looks at what is its own a last time, and leaves until the server has been emptied.
    fn rest(&mut self) {
        self.hang_up();
        while self.client.is_none() {
            self.connect();
        }
        self.hang_up();
        self.own.iter_mut().for_each(OwnKey::forget);
        self.scene.resting.fetch_add(1, Ordering::SeqCst);
        while self.scene.rests() && !self.scene.is_over() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.scene.resting.fetch_sub(1, Ordering::SeqCst);
    }

    fn act(&mut self) {
        if self.client.is_none() {
            return self.connect();
        }
        match self.chance.u32(0..100) {
            0..25 if !self.own.is_empty() => self.write_own_key(),
            95.. if self.own.is_empty() => self.run_errand(&STRAYS_ERRANDS),
            0..70 => self.ask(),
            70..98 => self.run_errand(&ERRANDS),
            _ => self.leave_in_the_middle(),
        }
    }

    /// Comes (back) to the server, which may not be there yet, and finds its own keys as they must be.
    fn connect(&mut self) {
        match Client::try_connect(self.scene.port()) {
            Ok(client) => self.client = Some(client),
            Err(_) => return std::thread::sleep(Duration::from_millis(20)),
        }
        let home = if self.own.is_empty() { 1 + self.number / 4 % 2 } else { 0 };
        if !self.run(&format!("SELECT {home}")).is_ok() {
            return self.hang_up();
        }
        if let Reply::Number(id) = self.run("CLIENT ID") {
            self.scene.connections[self.number].store(id, Ordering::Relaxed);
        }
        for index in 0..self.own.len() {
            let Reply::List(answer) = self.run(&format!("CACHE.GET {}", self.own[index].name)) else {
                return self.hang_up();
            };
            let found = Reply::List(answer).triple();
            let value = found.value.as_ref().map(|_| found.text());
            if self.own[index].compare(value.as_deref(), self.scene.is_full(), self.scene.seed) {
                self.scene.compared.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A new version of a key of its own, by SET or by a rebuild. Nobody else writes it, so a lease of its own holds
    /// until its fill, across restarts.
    fn write_own_key(&mut self) {
        let padding = if self.chance.u32(0..100) == 0 { 50_000 } else { self.chance.usize(0..1000) };
        let index = self.chance.usize(0..self.own.len());
        let (name, value) = (self.own[index].name.clone(), self.own[index].next_value(padding));
        let ask = self.run(&format!("CACHE.GETORLOCK {name} FORCE LEASE 20000"));
        let lease = matches!(ask, Reply::List(_)).then(|| ask.triple());
        let Some(lease) = lease.filter(|lease| matches!(lease.state.as_str(), "LOCK" | "REFRESH")) else {
            // A lease is out whose grant never arrived.
            if self.run(&format!("CACHE.SET {name} {value}")).is_ok() {
                self.acknowledge(index);
            }
            return;
        };
        if self.chance.u32(0..10) == 0 {
            self.run(&format!("CACHE.RENEW {name} {} 30000", lease.token()));
        }
        let fill = format!("CACHE.FILL {name} {} {value}", lease.token());
        let mut reply = self.run(&fill);
        let interrupted = must_be_repeated(&reply);
        while must_be_repeated(&reply) && !self.scene.is_over() {
            // The same token counts after a restart.
            if self.client.is_none() {
                self.connect();
            }
            reply = if self.own[index].has_the_last_value() { Reply::Nil } else { self.run(&fill) };
        }
        match reply {
            Reply::Word(_) => self.acknowledge(index),
            // The first fill landed, and only its answer was lost.
            Reply::Nil if interrupted => {
                let there = self.run(&format!("CACHE.GET {name}"));
                if let Reply::List(_) = there {
                    let there = there.triple();
                    let is_evicted = self.scene.is_full() && there.value.is_none();
                    let is_there = there.text() == value;
                    assert!(
                        is_evicted || is_there,
                        "seed {}: a fill of {name} was void and is not there",
                        self.scene.seed
                    );
                }
            }
            Reply::Nil if self.scene.is_full() => self.own[index].forget(),
            Reply::Nil => panic!("seed {}: the lease of {name}, {lease:?}, was lost", self.scene.seed),
            _ => {}
        }
    }

    fn acknowledge(&mut self, index: usize) {
        self.own[index].acknowledge();
        self.scene.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks for a shared key, and plays the part that falls to it.
    fn ask(&mut self) {
        let key = self.shared_key();
        let lease = self.chance.u32(20..400);
        let mut line = format!("CACHE.GETORLOCK {key} LEASE {lease}");
        match self.chance.u32(0..10) {
            0..2 => {}
            2..8 => line += &format!(" BLOCK {}", self.chance.u32(1..4000)),
            _ => line += " BLOCK 0",
        }
        for (option, percent) in [(" NOSTALE", 30), (" FORCE", 20), (" EARLY 50", 20), (" TIED", 30), (" NOTIFY", 10)] {
            if self.chance.u32(0..100) < percent {
                line += option;
            }
        }
        if self.chance.bool() {
            line += &format!(" GROUP {}", NAMES[self.chance.usize(0..NAMES.len())]);
        }
        if self.chance.u32(0..20) == 0 {
            line += &format!(" ONCE {}", self.chance.u32(1..300));
        }
        let answer = self.run(&line);
        if !matches!(answer, Reply::List(_)) {
            return;
        }
        let answer = answer.triple();
        self.scene.count_answer(&answer.state);
        if matches!(answer.state.as_str(), "LOCK" | "REFRESH") {
            self.hold(&key, answer.token());
        }
    }

    /// What becomes of a rebuild.
    fn hold(&mut self, key: &str, token: i64) {
        std::thread::sleep(Duration::from_millis(self.chance.u64(0..30)));
        let value = "y".repeat(if self.chance.u32(0..50) == 0 { 200_000 } else { self.chance.usize(0..300) });
        let px = self.chance.u32(1..500);
        // At rest everybody is sent home.
        let part = if self.scene.rests() { 0 } else { self.chance.u32(0..100) };
        let line = match part {
            0..50 => format!("CACHE.FILL {key} {token} y{value} PX {px} SWR {px} SIE 300 JITTER 10"),
            50..58 => format!("CACHE.TOUCH {key} {token} PX {px} SWR 200"),
            58..66 => format!("CACHE.FAIL {key} {token} down BACKOFF {px}"),
            66..72 => format!("CACHE.PASS {key} {token} PX {px}"),
            72..82 => format!("CACHE.RELEASE {key} {token}"),
            82..88 => format!("CACHE.RENEW {key} {token} {px}"),
            88..94 => return self.hang_up(),
            _ => return,
        };
        self.run(&line);
    }

    fn run_errand(&mut self, errands: &[&str]) {
        let errand = errands[self.chance.usize(0..errands.len())];
        let connection = &self.scene.connections[self.chance.usize(0..self.scene.connections.len())];
        let id = connection.load(Ordering::Relaxed).to_string();
        let (key, other, value) = (self.shared_key(), self.shared_key(), "v".repeat(self.chance.usize(1..2000)));
        let scene = self.scene;
        let strikes = errand.starts_with("CLIENT UNBLOCK") || errand.starts_with("CLIENT KILL");
        let unquiet = strikes.then(|| scene.quiet.try_read());
        let quiet = (errand == "FLUSHDB").then(|| scene.quiet.try_write());
        if matches!(unquiet, Some(Err(_))) || matches!(quiet, Some(Err(_))) {
            return;
        }
        for line in errand.split('|') {
            let words = line.split(' ').map(|word| match word {
                "K" => &key,
                "O" => &other,
                "I" => &id,
                "V" => &value,
                word => word,
            });
            self.run(&words.collect::<Vec<_>>().join(" "));
        }
    }

    /// Half a command, or a whole one whose answer it does not wait for.
    fn leave_in_the_middle(&mut self) {
        let key = self.shared_key();
        if let Some(client) = &mut self.client {
            let whole = self.chance.bool();
            let packet = match whole {
                true => format!("CACHE.GETORLOCK {key} LEASE 200 BLOCK 0 TIED\r\n"),
                false => format!("*4\r\n$15\r\nCACHE.GETORLOCK\r\n$2\r\n{key}"),
            };
            let _ = client.try_send_raw(packet.as_bytes());
        }
        self.hang_up();
    }

    fn shared_key(&mut self) -> String {
        format!("s{}", self.chance.usize(0..SHARED_KEYS))
    }

    /// Runs one command; the connection is given up if it ends. An answer that never comes is a panic of the harness.
    fn run(&mut self, line: &str) -> Reply {
        let Some(client) = &mut self.client else { return Reply::Closed };
        let reply = client.attempt(line);
        self.scene.commands.fetch_add(1, Ordering::Relaxed);
        match &reply {
            Reply::Closed => {
                self.client = None;
                self.scene.closed.fetch_add(1, Ordering::Relaxed);
            }
            Reply::Error(sentence) => {
                assert!(!sentence.contains("internal error"), "seed {}: {line}: {sentence}", self.scene.seed);
                self.scene.count_error(sentence);
            }
            _ => {}
        }
        reply
    }

    fn hang_up(&mut self) {
        if let Some(client) = self.client.take() {
            client.hang_up();
        }
    }
}

/// Whether nobody knows what came of a call. One that the server refused has ended: nothing is stored.
fn must_be_repeated(reply: &Reply) -> bool {
    const REFUSED: [&str; 3] = ["OOM ", "MISCONF ", "NOREPLICAS "];
    match reply {
        Reply::Error(sentence) => !REFUSED.iter().any(|code| sentence.starts_with(code)),
        reply => *reply == Reply::Closed,
    }
}
