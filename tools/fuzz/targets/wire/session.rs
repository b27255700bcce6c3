//! What a session is made of, in the fuzzer's hands.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use arbitrary::Arbitrary;

use crate::server::Server;

#[derive(Arbitrary, Debug)]
pub struct Session {
    settings: [Option<(Setting, Number)>; 2],
    /// Of the groups G and H; none if it is 0.
    limits: [u8; 2],
    steps: Vec<(u8, Step)>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Call(Call),
    /// The same several times, in one packet.
    Repeated(u8, Call),
    /// Between MULTI and EXEC.
    Transaction(Vec<Call>),
    /// Bytes that are no protocol.
    Garbage(Vec<u8>),
    /// A command's packet that ends early.
    Torn(Call, u8),
    /// The connection is cut off; the next step there begins another.
    Cut,
    /// What has come so far is read.
    Listen,
    /// The operator lets this client go.
    Unblock(bool),
    Kill,
    Sleep(u8),
}

#[derive(Arbitrary, Debug)]
struct Call {
    name: Name,
    key: Key,
    words: Vec<Word>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    GetOrLock,
    GetOrLockBlock,
    MGetOrLock,
    Fill,
    FillCurrent,
    Set,
    Get,
    Renew,
    Release,
    ReleaseCurrent,
    Fail,
    FailCurrent,
    Pass,
    PassCurrent,
    Touch,
    TouchCurrent,
    Invalidate,
    InvalidateTag,
    Tags,
    Outdate,
    MGet,
    Top,
    Version,
    Info,
    Leases,
    Apply,
    Other(Other),
}

/// Commands of Redis's own that meet entries.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Other {
    Del,
    Unlink,
    SetString,
    Push,
    Expire,
    Persist,
    Rename,
    Copy,
    Move,
    Dump,
    Restore,
    Select,
    SwapDb,
    FlushDb,
    Watch,
    Tracking,
    Resp3,
    Type,
    ReplyOff,
    Memory,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Key {
    A,
    B,
    C,
    Empty,
    Long,
}

#[derive(Arbitrary, Debug)]
enum Word {
    Option(Option_),
    Number(Number),
    Key(Key),
    Bytes(Vec<u8>),
    Large(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
#[rustfmt::skip]
enum Option_ {
    Lease, Block, NoStale, Force, Early, Tied, Notify, Group, Once, Ex, Px, ExAt, PxAt, Swr, Sie, Jitter, Tags, Version, Nx, Backoff,
    Count, MinAge, By, G, H,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Small(u8),
    Any(u64),
    Signed(i64),
    Edge(Edge),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Edge {
    TwoTo53,
    BelowTwoTo53,
    IntMax,
    LongMax,
    ULongMax,
    Soon,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
#[rustfmt::skip]
enum Setting {
    LeaseMs, LeaseMaxMs, SwrMs, SieMs, JitterPercent, EarlyBeta, BackoffMs, BackoffMaxMs, PassMs, MaxWaiters, MaxWaitersPerKey,
    WaitersMemoryPercent, MaxTags, FloorMs,
}

/// Connections of a session.
const CONNECTIONS: usize = 6;
/// Steps beyond which a session says nothing that a shorter one does not.
const MOST_STEPS: usize = 60;

impl Session {
    pub fn run(&self, server: &mut Server) {
        for (setting, number) in self.settings.iter().flatten() {
            // Out of range as often as not: refused.
            server.operate(&["CONFIG", "SET", setting.name(), &String::from_utf8_lossy(&number.text())]);
        }
        let limit = |name: &str, limit: u8| format!("{name} max {} fails {} cool-ms 2", limit % 4, limit % 3);
        if self.limits != [0, 0] {
            let groups = format!("{}, {}", limit("G", self.limits[0]), limit("H", self.limits[1]));
            server.operate(&["CONFIG", "SET", "corral.groups", &groups]);
        }
        let mut connections: [Option<Line>; CONNECTIONS] = Default::default();
        for (place, step) in self.steps.iter().take(MOST_STEPS) {
            let slot = &mut connections[usize::from(*place) % CONNECTIONS];
            if slot.as_ref().is_none_or(|line| line.is_broken) {
                *slot = Line::open(server.port);
            }
            let Some(line) = slot else { continue };
            match step {
                Step::Call(call) => line.send(&call.packet(line.token)),
                Step::Repeated(times, call) => line.send(&call.packet(line.token).repeat(usize::from(times % 64))),
                Step::Transaction(calls) => {
                    let calls: Vec<u8> = calls.iter().take(20).flat_map(|call| call.packet(line.token)).collect();
                    line.send(&[&pack(&[b"MULTI"]), &calls[..], &pack(&[b"EXEC"])].concat());
                }
                Step::Garbage(bytes) => line.send(bytes),
                Step::Torn(call, at) => {
                    let packet = call.packet(line.token);
                    line.send(&packet[..packet.len() * usize::from(*at) / 256]);
                }
                Step::Cut => *slot = None,
                Step::Listen => line.listen(),
                Step::Unblock(as_error) => {
                    let id = line.id.to_string();
                    server.operate(&["CLIENT", "UNBLOCK", &id, if *as_error { "ERROR" } else { "TIMEOUT" }]);
                }
                Step::Kill => {
                    let id = line.id.to_string();
                    server.operate(&["CLIENT", "KILL", "ID", &id]);
                }
                Step::Sleep(ms) => std::thread::sleep(Duration::from_millis(u64::from(ms % 4))),
            }
        }
    }
}

/// One of a session's connections.
struct Line {
    stream: TcpStream,
    id: u64,
    is_broken: bool,
    /// The last number of the size of a token that came back.
    token: u64,
}

impl Line {
    fn open(port: u16) -> Option<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut line = Self { stream, id: 0, is_broken: false, token: 1 };
        // Not by `send`, which would go on to read until nothing comes: the connection still blocks.
        line.stream.write_all(&pack(&[b"CLIENT", b"ID"])).ok()?;
        let mut reply = [0; 64];
        let length = line.stream.read(&mut reply).ok()?;
        line.id = std::str::from_utf8(reply.get(1..length)?).ok()?.trim().parse().ok()?;
        line.stream.set_nonblocking(true).ok()?;
        Some(line)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.is_broken |= self.stream.write_all(bytes).is_err();
        self.listen();
    }

    /// Reads what is there, and remembers what could be a token.
    fn listen(&mut self) {
        let mut replies = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut replies) {
                Ok(0) => self.is_broken = true,
                Ok(length) => {
                    let lines = replies[..length].split(|byte| *byte == b'\n');
                    let numbers = lines.filter_map(|line| std::str::from_utf8(line.strip_prefix(b":")?).ok());
                    let tokens =
                        numbers.filter_map(|number| number.trim().parse().ok()).filter(|token| *token > 1 << 50);
                    self.token = tokens.last().unwrap_or(self.token);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.is_broken = true,
            }
            return;
        }
    }
}

impl Call {
    fn packet(&self, token: u64) -> Vec<u8> {
        let token = token.to_string().into_bytes();
        let key = self.key.name();
        let mut words: Vec<Vec<u8>> = match self.name {
            Name::GetOrLock => vec![b"CACHE.GETORLOCK".to_vec(), key],
            Name::GetOrLockBlock => vec![b"CACHE.GETORLOCK".to_vec(), key, b"BLOCK".to_vec(), b"0".to_vec()],
            Name::MGetOrLock => vec![b"CACHE.MGETORLOCK".to_vec()],
            Name::Fill => vec![b"CACHE.FILL".to_vec(), key],
            Name::FillCurrent => vec![b"CACHE.FILL".to_vec(), key, token, b"value".to_vec()],
            Name::Set => vec![b"CACHE.SET".to_vec(), key],
            Name::Get => vec![b"CACHE.GET".to_vec(), key],
            Name::Renew => vec![b"CACHE.RENEW".to_vec(), key, token],
            Name::Release => vec![b"CACHE.RELEASE".to_vec(), key],
            Name::ReleaseCurrent => vec![b"CACHE.RELEASE".to_vec(), key, token],
            Name::Fail => vec![b"CACHE.FAIL".to_vec(), key],
            Name::FailCurrent => vec![b"CACHE.FAIL".to_vec(), key, token, b"down".to_vec()],
            Name::Pass => vec![b"CACHE.PASS".to_vec(), key],
            Name::PassCurrent => vec![b"CACHE.PASS".to_vec(), key, token],
            Name::Touch => vec![b"CACHE.TOUCH".to_vec(), key],
            Name::TouchCurrent => vec![b"CACHE.TOUCH".to_vec(), key, token],
            Name::Invalidate => vec![b"CACHE.INVALIDATE".to_vec(), key],
            Name::InvalidateTag => vec![b"CACHE.INVALIDATETAG".to_vec(), b"1".to_vec(), b"a".to_vec()],
            Name::Tags => vec![b"CACHE.TAGS".to_vec(), b"a".to_vec()],
            Name::Outdate => vec![b"CACHE.OUTDATE".to_vec(), key],
            Name::MGet => vec![b"CACHE.MGET".to_vec(), key],
            Name::Top => vec![b"CACHE.TOP".to_vec()],
            Name::Version => vec![b"CACHE.VERSION".to_vec()],
            Name::Info => vec![b"CACHE.INFO".to_vec(), key],
            Name::Leases => vec![b"CACHE.LEASES".to_vec()],
            Name::Apply => vec![b"CACHE.APPLY".to_vec(), key],
            Name::Other(other) => other.words(key),
        };
        words.extend(self.words.iter().take(12).map(Word::text));
        pack(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

impl Other {
    fn words(self, key: Vec<u8>) -> Vec<Vec<u8>> {
        let (name, takes_key): (&[&str], bool) = match self {
            Other::Del => (&["DEL"], true),
            Other::Unlink => (&["UNLINK"], true),
            Other::SetString => (&["SET"], true),
            Other::Push => (&["RPUSH"], true),
            Other::Expire => (&["PEXPIRE"], true),
            Other::Persist => (&["PERSIST"], true),
            Other::Rename => (&["RENAME"], true),
            Other::Copy => (&["COPY"], true),
            Other::Move => (&["MOVE"], true),
            Other::Dump => (&["DUMP"], true),
            Other::Restore => (&["RESTORE"], true),
            Other::Select => (&["SELECT"], false),
            Other::SwapDb => (&["SWAPDB", "0", "1"], false),
            Other::FlushDb => (&["FLUSHDB"], false),
            Other::Watch => (&["WATCH"], true),
            Other::Tracking => (&["CLIENT", "TRACKING", "ON"], false),
            Other::Resp3 => (&["HELLO", "3"], false),
            Other::Type => (&["TYPE"], true),
            Other::ReplyOff => (&["CLIENT", "REPLY", "OFF"], false),
            Other::Memory => (&["MEMORY", "USAGE"], true),
        };
        let mut words: Vec<Vec<u8>> = name.iter().map(|word| word.as_bytes().to_vec()).collect();
        if takes_key {
            words.push(key);
        }
        words
    }
}

impl Key {
    fn name(self) -> Vec<u8> {
        match self {
            Key::A => b"a".to_vec(),
            Key::B => b"b".to_vec(),
            Key::C => b"c\0\r\n%s\xff".to_vec(),
            Key::Empty => Vec::new(),
            Key::Long => vec![b'k'; 3000],
        }
    }
}

impl Word {
    fn text(&self) -> Vec<u8> {
        match self {
            Word::Option(option) => format!("{option:?}").into_bytes(),
            Word::Number(number) => number.text(),
            Word::Key(key) => key.name(),
            Word::Bytes(bytes) => bytes.clone(),
            Word::Large(length) => vec![b'v'; usize::from(*length)],
        }
    }
}

impl Number {
    fn text(self) -> Vec<u8> {
        let now_ms = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
        match self {
            Number::Small(number) => number.to_string(),
            Number::Any(number) => number.to_string(),
            Number::Signed(number) => number.to_string(),
            Number::Edge(Edge::TwoTo53) => (1_u64 << 53).to_string(),
            Number::Edge(Edge::BelowTwoTo53) => ((1_u64 << 53) - 1).to_string(),
            Number::Edge(Edge::IntMax) => i32::MAX.to_string(),
            Number::Edge(Edge::LongMax) => i64::MAX.to_string(),
            Number::Edge(Edge::ULongMax) => u64::MAX.to_string(),
            Number::Edge(Edge::Soon) => (now_ms() + 2).to_string(),
        }
        .into_bytes()
    }
}

impl Setting {
    const fn name(self) -> &'static str {
        match self {
            Setting::LeaseMs => "corral.lease-ms",
            Setting::LeaseMaxMs => "corral.lease-max-ms",
            Setting::SwrMs => "corral.swr-ms",
            Setting::SieMs => "corral.sie-ms",
            Setting::JitterPercent => "corral.jitter-percent",
            Setting::EarlyBeta => "corral.early-beta",
            Setting::BackoffMs => "corral.backoff-ms",
            Setting::PassMs => "corral.pass-ms",
            Setting::MaxWaiters => "corral.max-waiters",
            Setting::MaxWaitersPerKey => "corral.max-waiters-per-key",
            Setting::BackoffMaxMs => "corral.backoff-max-ms",
            Setting::WaitersMemoryPercent => "corral.waiters-memory-percent",
            Setting::MaxTags => "corral.max-tags",
            Setting::FloorMs => "corral.floor-ms",
        }
    }
}

fn pack(words: &[&[u8]]) -> Vec<u8> {
    let mut packet = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        packet.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        packet.extend_from_slice(word);
        packet.extend_from_slice(b"\r\n");
    }
    packet
}
