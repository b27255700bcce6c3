//! The bytes of an entry outside the server's memory: in RDB files and DUMP payloads, in the AOF and on the
//! replication link.
//!
//! `[version: 1 byte][header, in bincode]`; the value travels beside it as a string of its own, so that a large one is
//! never copied into a header. bincode is unmaintained (RUSTSEC-2025-0141), which is bearable here: the input is bounded
//! before it is read, every number is range-checked after, and the golden bytes below would show any change of format.
//! Arbitrary bytes give an error; they never panic nor allocate beyond their own length.
//!
//! | version | what |
//! |---|---|
//! | 1 | an entry, as the first Corral wrote it: read, not written any more |
//! | 2 | an entry: `[parts: which of the parts below follow][part]...` |
//! | 3 | the removal of a key |
//! | 4 | marks of tags, with the empty key |

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use bincode::config;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Failure, Floor, Rare};
use crate::freshness::{Times, Windows};
use crate::lease::{Lease, Terms, LEASE_LIMIT_MS};
use crate::policy::is_group_name;
use crate::request::MESSAGE_LIMIT;
use crate::tag::{Intern, Tagged, TAGS_LIMIT, TAG_LIMIT};
use crate::time::{UnixMs, MAX_MS};
use crate::token::Token;

/// What is written; a reader refuses versions it does not know.
pub const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
const REMOVAL: u8 = 3;
const MARKS: u8 = 4;

/// A header's limit in bytes: 32 tags, a failure message and a dozen numbers fit.
pub const HEADER_LIMIT: usize = 16 * 1024;
/// The same of the first version.
const FIRST_HEADER_LIMIT: usize = 4096;

/// The header of an entry with nothing in it: what stands in a file for one that could not be written, so that the
/// rest of the file can be read.
pub const NOTHING: [u8; 4] = [VERSION, 0, 0, 0];

/// Where an entry's value is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
pub enum ValuePart {
    /// There is none.
    Absent,
    /// Beside the header.
    Carried,
    /// The receiver has it already: only the lease or the times changed.
    Kept,
}

/// One replicated or stored effect.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    Entry(Header),
    Removal,
    Marks(MarksRecord),
}

/// An entry without its value, as read from a header.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Everything but value and tags. Incomplete until [`Header::into_entry`] has put them in.
    entry: Entry,
    tags: Option<(Token, Vec<Box<[u8]>>)>,
    version: Option<u64>,
    times: Times,
    pub value: ValuePart,
    /// The deadline of the key in Redis, where the header says one: replicated effects do, stored entries leave it to
    /// Redis. `Some(UnixMs::NEVER)`: it has none.
    pub expire_at: Option<UnixMs>,
}

/// Tags marked together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarksRecord {
    pub token: Token,
    pub at: UnixMs,
    /// How long old values serve after the mark at most, in ms.
    pub swr_ms: Option<u64>,
    pub tags: Vec<Box<[u8]>>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    TooLong,
    Version(u8),
    Encoding,
    TrailingBytes,
    /// The named number or text is outside its range.
    Range(&'static str),
}

/// Which parts of a header follow, in this order.
mod part {
    pub(super) const VALUE_CARRIED: u32 = 1;
    pub(super) const VALUE_KEPT: u32 = 1 << 1;
    pub(super) const FRESH_UNTIL: u32 = 1 << 2;
    pub(super) const FRESH_FOR_EVER: u32 = 1 << 3;
    pub(super) const WINDOWS: u32 = 1 << 4;
    pub(super) const EXPIRE_AT: u32 = 1 << 5;
    pub(super) const EXPIRE_NEVER: u32 = 1 << 6;
    pub(super) const LEASE: u32 = 1 << 7;
    pub(super) const TAGS: u32 = 1 << 8;
    pub(super) const FAILURE: u32 = 1 << 9;
    pub(super) const HISTORY: u32 = 1 << 10;
    pub(super) const PASS: u32 = 1 << 11;
    pub(super) const UNKNOWN: u32 = 1 << 12;
    pub(super) const VERSION: u32 = 1 << 13;
    pub(super) const FLOOR: u32 = 1 << 14;
    pub(super) const ALL: u32 = (1 << 15) - 1;
}

/// A number below 2^56 in seven bytes: bincode would take nine for a moment.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Wide([u8; 7]);

const NEVER_WIDE: u64 = (1 << 56) - 1;

impl Wide {
    fn moment(moment: UnixMs) -> Self {
        Self::number(moment.get().unwrap_or(NEVER_WIDE))
    }

    fn number(number: u64) -> Self {
        let [a, b, c, d, e, f, g, _] = number.to_le_bytes();
        Self([a, b, c, d, e, f, g])
    }

    fn get(self) -> u64 {
        let [a, b, c, d, e, f, g] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, 0])
    }

    fn token(self) -> Result<Token, Malformed> {
        Token::new(self.get()).ok_or(Malformed::Range("token"))
    }

    /// A moment, or never.
    fn end(self, name: &'static str) -> Result<UnixMs, Malformed> {
        match self.get() {
            NEVER_WIDE => Ok(UnixMs::NEVER),
            ms => moment(name, ms),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LeasePart<'a> {
    token: Wide,
    granted_at: Wide,
    deadline: Wide,
    length_ms: u32,
    is_tied: bool,
    #[serde(borrow)]
    group: Option<&'a [u8]>,
    once_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct FloorPart {
    version: u64,
    raised_by: Wide,
    until: Wide,
}

/// The bytes of `entry`'s header.
pub fn encode(entry: &Entry, value: ValuePart, expire_at: Option<UnixMs>) -> Vec<u8> {
    let rare = entry.rare();
    let times = entry.times();
    let history = rare.filter(|rare| rare.failures_in_a_row > 0 || rare.has_failed || rare.broken_ties > 0);
    let pass_until = rare.map(|rare| rare.pass_until).filter(|until| *until > UnixMs::EPOCH);
    let unknown_until = rare.map(|rare| rare.unknown_until).filter(|until| *until > UnixMs::EPOCH);
    let floor = rare.and_then(|rare| rare.floor);
    let mut out = Writer { parts: 0, body: Vec::new() };
    match value {
        ValuePart::Absent => {}
        ValuePart::Carried => out.parts |= part::VALUE_CARRIED,
        ValuePart::Kept => out.parts |= part::VALUE_KEPT,
    }
    out.put((entry.build_ms(), entry.fills()));
    if value != ValuePart::Absent {
        match times.fresh_until.is_never() {
            true => out.parts |= part::FRESH_FOR_EVER,
            false => out.part(part::FRESH_UNTIL, Wide::moment(times.fresh_until)),
        }
        if !times.windows.is_empty() {
            out.part(part::WINDOWS, (times.windows.swr_ms, times.windows.sie_ms));
        }
    }
    match expire_at {
        None => {}
        Some(moment) if moment.is_never() => out.parts |= part::EXPIRE_NEVER,
        Some(moment) => out.part(part::EXPIRE_AT, Wide::moment(moment)),
    }
    if let Some(lease) = entry.lease() {
        out.part(
            part::LEASE,
            LeasePart {
                token: Wide::number(lease.token.get()),
                granted_at: Wide::moment(lease.granted_at),
                deadline: Wide::moment(lease.deadline),
                length_ms: lease.length_ms,
                is_tied: lease.is_tied,
                group: lease.group().map(|group| &**group),
                once_ms: lease.once_ms(),
            },
        );
    }
    if let Some(tagged) = entry.tagged().filter(|_| value != ValuePart::Absent) {
        out.part(part::TAGS, (Wide::number(tagged.birth.get()), tagged.tags.len() as u8));
        tagged.tags.iter().for_each(|tag| out.put(tag.name()));
    }
    if let Some(failure) = entry.failure() {
        out.part(part::FAILURE, (&*failure.message, Wide::moment(failure.until)));
    }
    if let Some(rare) = history {
        out.part(part::HISTORY, (rare.failures_in_a_row, rare.has_failed, rare.broken_ties));
    }
    if let Some(until) = pass_until {
        out.part(part::PASS, Wide::moment(until));
    }
    if let Some(until) = unknown_until {
        out.part(part::UNKNOWN, Wide::moment(until));
    }
    if let Some(version) = entry.version().filter(|_| value != ValuePart::Absent) {
        out.part(part::VERSION, Wide::number(version));
    }
    if let Some(floor) = floor {
        let raised_by = Wide::number(floor.raised_by.get());
        out.part(part::FLOOR, FloorPart { version: floor.version, raised_by, until: Wide::moment(floor.until) });
    }
    out.finish()
}

/// The bytes of a removal.
pub fn encode_removal() -> Vec<u8> {
    vec![REMOVAL]
}

/// The bytes of marks, each with the empty key: in pieces that fit into a header.
pub fn encode_marks(record: &MarksRecord) -> Vec<u8> {
    let mut out = Writer { parts: 0, body: Vec::new() };
    out.put((Wide::number(record.token.get()), Wide::moment(record.at), record.swr_ms, record.tags.len() as u32));
    record.tags.iter().for_each(|tag| out.put(&**tag));
    let mut bytes = vec![MARKS];
    bytes.append(&mut out.body);
    bytes
}

struct Writer {
    parts: u32,
    body: Vec<u8>,
}

impl Writer {
    fn part(&mut self, part: u32, value: impl Serialize) {
        self.parts |= part;
        self.put(value);
    }

    /// Numbers and bounded texts into a growing vector: nothing in it can fail to encode. If it ever did, readers would
    /// refuse the short header rather than misread it.
    fn put(&mut self, value: impl Serialize) {
        self.body.append(&mut bincode::serde::encode_to_vec(value, config::standard()).unwrap_or_default());
    }

    fn finish(mut self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.append(&mut bincode::serde::encode_to_vec(self.parts, config::standard()).unwrap_or_default());
        bytes.append(&mut self.body);
        bytes
    }
}

/// What is left of the bytes to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<T: Deserialize<'a>>(&mut self) -> Result<T, Malformed> {
        let limited = config::standard().with_limit::<HEADER_LIMIT>();
        let (value, read) =
            bincode::serde::borrow_decode_from_slice(self.0, limited).map_err(|_| Malformed::Encoding)?;
        self.0 = self.0.get(read..).ok_or(Malformed::Encoding)?;
        Ok(value)
    }

    fn tag(&mut self) -> Result<Box<[u8]>, Malformed> {
        let tag: &[u8] = self.take()?;
        match (1..=TAG_LIMIT).contains(&tag.len()) {
            true => Ok(tag.into()),
            false => Err(Malformed::Range("tag")),
        }
    }

    fn end<T>(self, value: T) -> Result<T, Malformed> {
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(Malformed::TrailingBytes),
        }
    }
}

/// Reads an effect back: of the replication link and the AOF.
pub fn decode_effect(bytes: &[u8]) -> Result<Effect, Malformed> {
    match bytes.split_first() {
        Some((&REMOVAL, rest)) => Reader(rest).end(Effect::Removal),
        Some((&MARKS, rest)) => decode_marks(rest).map(Effect::Marks),
        _ => decode(bytes).map(Effect::Entry),
    }
}

fn decode_marks(body: &[u8]) -> Result<MarksRecord, Malformed> {
    if body.len() > HEADER_LIMIT {
        return Err(Malformed::TooLong);
    }
    let mut from = Reader(body);
    let (token, at, swr_ms, count): (Wide, Wide, Option<u64>, u32) = from.take()?;
    let mut tags = Vec::new();
    for _ in 0..count {
        tags.push(from.tag()?);
    }
    let swr_ms = match swr_ms {
        Some(ms) => Some(span("SWR", ms)?),
        None => None,
    };
    from.end(MarksRecord { token: token.token()?, at: moment("mark", at.get())?, swr_ms, tags })
}

/// Reads a header back.
pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
    if bytes.len() > HEADER_LIMIT {
        return Err(Malformed::TooLong);
    }
    let (version, body) = bytes.split_first().ok_or(Malformed::Encoding)?;
    match *version {
        VERSION => decode_second(body),
        FIRST_VERSION if bytes.len() > FIRST_HEADER_LIMIT => Err(Malformed::TooLong),
        FIRST_VERSION => decode_first(body),
        other => Err(Malformed::Version(other)),
    }
}

fn decode_second(body: &[u8]) -> Result<Header, Malformed> {
    let mut from = Reader(body);
    let parts: u32 = from.take()?;
    let has = |part| parts & part != 0;
    let exclude = |one, other| has(one) && has(other);
    if parts > part::ALL
        || exclude(part::VALUE_CARRIED, part::VALUE_KEPT)
        || exclude(part::FRESH_UNTIL, part::FRESH_FOR_EVER)
        || exclude(part::EXPIRE_AT, part::EXPIRE_NEVER)
    {
        return Err(Malformed::Encoding);
    }
    let value = match (has(part::VALUE_CARRIED), has(part::VALUE_KEPT)) {
        (true, _) => ValuePart::Carried,
        (_, true) => ValuePart::Kept,
        _ => ValuePart::Absent,
    };
    let mut entry = Entry::vacant();
    (entry.build_ms, entry.fills) = from.take()?;
    let mut times = Times { fresh_until: UnixMs::EPOCH, windows: Windows::default() };
    if has(part::FRESH_FOR_EVER) {
        times.fresh_until = UnixMs::NEVER;
    }
    if has(part::FRESH_UNTIL) {
        times.fresh_until = moment("soft deadline", from.take::<Wide>()?.get())?;
    }
    if has(part::WINDOWS) {
        let (swr_ms, sie_ms) = from.take()?;
        times.windows = Windows { swr_ms: span("SWR", swr_ms)?, sie_ms: span("SIE", sie_ms)? };
    }
    let expire_at = match has(part::EXPIRE_AT) {
        true => Some(moment("key deadline", from.take::<Wide>()?.get())?),
        false => has(part::EXPIRE_NEVER).then_some(UnixMs::NEVER),
    };
    if has(part::LEASE) {
        entry.lease = Some(Box::new(from.take::<LeasePart>()?.check()?));
    }
    let mut tags = None;
    if has(part::TAGS) {
        let (birth, count): (Wide, u8) = from.take()?;
        if usize::from(count) > TAGS_LIMIT {
            return Err(Malformed::Range("number of tags"));
        }
        let names: Result<Vec<_>, _> = (0..count).map(|_| from.tag()).collect();
        tags = Some((birth.token()?, names?));
    }
    let mut rare = Rare::IDLE;
    if has(part::FAILURE) {
        let (message, until): (&[u8], Wide) = from.take()?;
        if message.len() > MESSAGE_LIMIT {
            return Err(Malformed::Range("failure message"));
        }
        rare.failure = Some(Failure { message: message.into(), until: moment("back-off", until.get())? });
    }
    if has(part::HISTORY) {
        (rare.failures_in_a_row, rare.has_failed, rare.broken_ties) = from.take()?;
    }
    if has(part::PASS) {
        rare.pass_until = moment("pass mark", from.take::<Wide>()?.get())?;
    }
    if has(part::UNKNOWN) {
        rare.unknown_until = from.take::<Wide>()?.end("unknown outcome")?;
    }
    let version = match has(part::VERSION) {
        true => Some(span("version", from.take::<Wide>()?.get())?),
        false => None,
    };
    if has(part::FLOOR) {
        let floor: FloorPart = from.take()?;
        rare.floor = Some(Floor {
            version: span("floor", floor.version)?,
            raised_by: floor.raised_by.token()?,
            until: moment("floor", floor.until.get())?,
        });
    }
    if rare != Rare::IDLE {
        *entry.rare_or_insert() = rare;
    }
    from.end(Header { entry, tags, version, times, value, expire_at })
}

impl LeasePart<'_> {
    fn check(self) -> Result<Lease, Malformed> {
        if let Some(group) = self.group {
            if !is_group_name(group) {
                return Err(Malformed::Range("group"));
            }
        }
        let once_ms = match self.once_ms {
            Some(ms) => Some(span("ONCE", ms)?),
            None => None,
        };
        let terms = Terms { group: self.group.map(Arc::from), once_ms };
        let lease = Lease {
            token: self.token.token()?,
            granted_at: moment("grant", self.granted_at.get())?,
            deadline: moment("lease deadline", self.deadline.get())?,
            length_ms: self.length_ms,
            is_tied: self.is_tied,
            terms: (terms != Terms::default()).then(|| Box::new(terms)),
        };
        bounded(lease)
    }
}

/// No payload and no replicated effect makes an unbounded lease.
fn bounded(lease: Lease) -> Result<Lease, Malformed> {
    let is_bounded =
        u64::from(lease.length_ms) <= LEASE_LIMIT_MS && lease.deadline <= lease.granted_at.plus(LEASE_LIMIT_MS);
    match is_bounded {
        true => Ok(lease),
        false => Err(Malformed::Range("lease length")),
    }
}

impl Header {
    /// The entry, with `value` and its tags in it. A value that the header does not allow for is left out; one that it
    /// calls for and that is missing leaves an entry without a value.
    pub fn into_entry(self, value: Option<Arc<[u8]>>, tags: &mut dyn Intern) -> Entry {
        let mut entry = self.entry;
        if let Some(value) = value.filter(|_| self.value != ValuePart::Absent) {
            entry.value = Some(value);
            entry.set_times(self.times);
            entry.set_version(self.version);
            entry.set_tagged(
                self.tags
                    .map(|(birth, names)| Tagged { birth, tags: names.iter().map(|name| tags.intern(name)).collect() }),
            );
        }
        entry
    }

    pub fn lease(&self) -> Option<&Lease> {
        self.entry.lease()
    }

    /// The end of the back-off in it.
    pub fn backoff_until(&self) -> Option<UnixMs> {
        self.entry.failure().map(|failure| failure.until)
    }

    /// The lease, to be changed before the entry is made.
    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        self.entry.lease.as_deref_mut()
    }

    /// The youngest token in it: of its lease, its birth, or what raised its floor.
    pub fn youngest_token(&self) -> Option<Token> {
        let lease = self.lease().map(|lease| lease.token);
        let birth = self.tags.as_ref().map(|(birth, _)| *birth);
        let floor = self.entry.rare().and_then(|rare| rare.floor).map(|floor| floor.raised_by);
        lease.max(birth).max(floor)
    }
}

#[derive(Serialize, Deserialize)]
struct HeaderV1<'a> {
    value: ValuePart,
    expire_at: Option<Option<u64>>,
    fresh_until: Option<u64>,
    swr_ms: u64,
    sie_ms: u64,
    build_ms: u32,
    fills: u32,
    pass_until: u64,
    #[serde(borrow)]
    failure: Option<FailureV1<'a>>,
    lease: Option<LeaseV1>,
}

#[derive(Serialize, Deserialize)]
struct FailureV1<'a> {
    #[serde(borrow, with = "text")]
    message: Cow<'a, [u8]>,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct LeaseV1 {
    token: u64,
    granted_at: u64,
    deadline: u64,
    length_ms: u64,
    tied: bool,
    /// The database it was granted in, from before floors of databases kept a swap's leases void.
    db: u32,
}

fn decode_first(body: &[u8]) -> Result<Header, Malformed> {
    let mut from = Reader(body);
    let wire: HeaderV1 = from.take()?;
    let wire = from.end(wire)?;
    let mut rare = Rare::IDLE;
    if let Some(failure) = wire.failure {
        if failure.message.len() > MESSAGE_LIMIT {
            return Err(Malformed::Range("failure message"));
        }
        rare.failure =
            Some(Failure { message: Arc::from(&*failure.message), until: moment("back-off", failure.until)? });
    }
    rare.pass_until = moment("pass mark", wire.pass_until)?;
    let mut entry = Entry::vacant();
    (entry.build_ms, entry.fills) = (wire.build_ms, wire.fills);
    if rare != Rare::IDLE {
        *entry.rare_or_insert() = rare;
    }
    if let Some(lease) = wire.lease {
        let length_ms = u32::try_from(lease.length_ms).map_err(|_| Malformed::Range("lease length"))?;
        entry.lease = Some(Box::new(bounded(Lease {
            token: Token::new(lease.token).ok_or(Malformed::Range("token"))?,
            granted_at: moment("grant", lease.granted_at)?,
            deadline: moment("lease deadline", lease.deadline)?,
            length_ms,
            is_tied: lease.tied,
            terms: None,
        })?));
    }
    let windows = Windows { swr_ms: span("SWR", wire.swr_ms)?, sie_ms: span("SIE", wire.sie_ms)? };
    let times = Times { fresh_until: end("soft deadline", wire.fresh_until)?, windows };
    let expire_at = match wire.expire_at {
        Some(expire_at) => Some(end("key deadline", expire_at)?),
        None => None,
    };
    Ok(Header { entry, tags: None, version: None, times, value: wire.value, expire_at })
}

fn span(name: &'static str, ms: u64) -> Result<u64, Malformed> {
    if ms <= MAX_MS {
        Ok(ms)
    } else {
        Err(Malformed::Range(name))
    }
}

fn moment(name: &'static str, ms: u64) -> Result<UnixMs, Malformed> {
    span(name, ms).map(UnixMs::new)
}

fn end(name: &'static str, ms: Option<u64>) -> Result<UnixMs, Malformed> {
    ms.map_or(Ok(UnixMs::NEVER), |ms| moment(name, ms))
}

/// serde writes `[u8]` as a sequence of numbers unless told that it is bytes.
mod text {
    use alloc::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, [u8]>, D::Error> {
        <&[u8]>::deserialize(from).map(Cow::Borrowed)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong => write!(out, "header longer than {HEADER_LIMIT} bytes"),
            Malformed::Version(found) => {
                write!(out, "header version {found}, this module reads versions {FIRST_VERSION} and {VERSION}")
            }
            Malformed::Encoding => write!(out, "header is torn or not a header"),
            Malformed::TrailingBytes => write!(out, "bytes after the header"),
            Malformed::Range(name) => write!(out, "{name} out of range"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::Tag;
    use std::string::ToString;

    struct Names;

    impl Intern for Names {
        fn intern(&mut self, name: &[u8]) -> Arc<Tag> {
            Tag::new(name)
        }
    }

    fn full(tags: bool) -> Entry {
        let mut entry = Entry::vacant();
        entry.value = Some(Arc::from(&b"value"[..]));
        let windows = Windows { swr_ms: 500, sie_ms: 60_000 };
        entry.set_times(Times { fresh_until: UnixMs::new(1_700_000_000_000), windows });
        entry.build_ms = 250;
        entry.fills = 3;
        *entry.rare_or_insert() = Rare {
            failure: Some(Failure { message: Arc::from(&b"db down"[..]), until: UnixMs::new(7) }),
            pass_until: UnixMs::new(9),
            ..Rare::IDLE
        };
        let terms = tags.then(|| Box::new(Terms { group: Some(Arc::from(&b"g"[..])), once_ms: Some(0) }));
        entry.lease = Some(Box::new(Lease {
            token: Token::new(1_700_000_000_000_001).unwrap(),
            granted_at: UnixMs::new(1_700_000_000_000),
            deadline: UnixMs::new(1_700_000_010_000),
            length_ms: 10_000,
            is_tied: true,
            terms,
        }));
        if tags {
            let birth = Token::new(5).unwrap();
            entry.set_tagged(Some(Tagged { birth, tags: [&b"a"[..], b"bc"].map(Tag::new).into() }));
            let rare = entry.rare_or_insert();
            rare.version = Some(8);
            rare.failures_in_a_row = 2;
            rare.has_failed = true;
            rare.broken_ties = 1;
            rare.unknown_until = UnixMs::NEVER;
            rare.floor = Some(Floor { version: 9, raised_by: Token::new(6).unwrap(), until: UnixMs::new(10) });
        }
        entry
    }

    #[test]
    fn entries_come_back_as_they_were() {
        for entry in [full(false), full(true), Entry::vacant()] {
            let part = if entry.value.is_some() { ValuePart::Carried } else { ValuePart::Absent };
            let bytes = encode(&entry, part, Some(UnixMs::NEVER));
            let header = decode(&bytes).unwrap();
            assert_eq!(header.expire_at, Some(UnixMs::NEVER));
            assert_eq!(header.into_entry(entry.value.clone(), &mut Names), entry);
        }
        assert_eq!(decode(&NOTHING).unwrap().into_entry(None, &mut Names), Entry::vacant());
        assert_eq!(decode_effect(&encode_removal()), Ok(Effect::Removal));
        let marks = MarksRecord {
            token: Token::new(4).unwrap(),
            at: UnixMs::new(3),
            swr_ms: Some(0),
            tags: std::vec![Box::from(&b"tag"[..])],
        };
        assert_eq!(decode_effect(&encode_marks(&marks)), Ok(Effect::Marks(marks)));
    }

    /// Files written by version 1 must be readable for ever: these bytes are never changed, only added to.
    #[test]
    #[rustfmt::skip]
    fn golden_bytes_of_version_1() {
        let everything: &[u8] = &[
            1,                                             // version
            1,                                             // value: beside the header
            0,                                             // key deadline: not said
            1, 253, 0, 104, 229, 207, 139, 1, 0, 0,        // soft deadline
            251, 244, 1,                                   // SWR
            251, 96, 234,                                  // SIE
            250,                                           // build time
            3,                                             // fills
            9,                                             // end of the pass mark
            1, 7, 100, 98, 32, 100, 111, 119, 110, 7,      // failure: message, end of the back-off
            1, 253, 1, 64, 30, 24, 36, 10, 6, 0,           // lease: token,
            253, 0, 104, 229, 207, 139, 1, 0, 0,           //   grant,
            253, 16, 143, 229, 207, 139, 1, 0, 0,          //   deadline,
            251, 16, 39,                                   //   length,
            1,                                             //   tied,
            3,                                             //   database
        ];
        assert_eq!(decode(everything).unwrap().into_entry(full(false).value, &mut Names), full(false));

        let mut placeholder = Entry::vacant();
        placeholder.lease = full(false).lease;
        let replicated: &[u8] = &[
            1, 0,
            1, 1, 253, 96, 82, 230, 207, 139, 1, 0, 0,     // key deadline
            1, 0, 0, 0, 0, 0, 0,
            0,                                             // no failure
            1, 253, 1, 64, 30, 24, 36, 10, 6, 0, 253, 0, 104, 229, 207, 139, 1, 0, 0,
            253, 16, 143, 229, 207, 139, 1, 0, 0, 251, 16, 39, 1, 3,
        ];
        let header = decode(replicated).unwrap();
        assert_eq!(header.expire_at, Some(UnixMs::new(1_700_000_060_000)));
        assert_eq!(header.into_entry(None, &mut Names), placeholder);

        let for_ever: &[u8] = &[
            1, 2,                                          // value: the receiver has it
            1, 0,                                          // key deadline: none
            0,                                             // soft deadline: none
            0, 0, 0, 0, 0, 0, 0,
        ];
        let mut entry = Entry::vacant();
        entry.value = Some(Arc::from(&b"value"[..]));
        entry.set_times(Times { fresh_until: UnixMs::NEVER, windows: Windows::default() });
        assert_eq!(decode(for_ever).unwrap().into_entry(entry.value.clone(), &mut Names), entry);
    }

    /// As above, of version 2.
    #[test]
    #[rustfmt::skip]
    fn golden_bytes_of_version_2() {
        let everything: &[u8] = &[
            2,                                             // version
            251, 149, 127,                                 // parts
            250, 3,                                        // build time, fills
            0, 104, 229, 207, 139, 1, 0,                   // soft deadline
            251, 244, 1, 251, 96, 234,                     // SWR, SIE
            1, 64, 30, 24, 36, 10, 6,                      // lease: token,
            0, 104, 229, 207, 139, 1, 0,                   //   grant,
            16, 143, 229, 207, 139, 1, 0,                  //   deadline,
            251, 16, 39, 1,                                //   length, tied,
            1, 1, 103, 1, 0,                               //   group, ONCE
            5, 0, 0, 0, 0, 0, 0, 2, 1, 97, 2, 98, 99,      // birth and tags
            7, 100, 98, 32, 100, 111, 119, 110, 7, 0, 0, 0, 0, 0, 0, // failure: message, end of the back-off
            2, 1, 1,                                       // failures in a row, the last attempt failed, broken ties
            9, 0, 0, 0, 0, 0, 0,                           // end of the pass mark
            255, 255, 255, 255, 255, 255, 255,             // unknown outcome: without end
            8, 0, 0, 0, 0, 0, 0,                           // version
            9, 6, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0,  // floor: version, raised by, until
        ];
        assert_eq!(encode(&full(true), ValuePart::Carried, None), everything);
        assert_eq!(decode(everything).unwrap().into_entry(full(true).value, &mut Names), full(true));

        let mut plain = Entry::vacant();
        plain.value = Some(Arc::from(&b"value"[..]));
        plain.fills = 1;
        plain.set_times(Times { fresh_until: UnixMs::new(1_700_000_000_000), windows: Windows::default() });
        let bytes: &[u8] = &[2, 5, 0, 1, 0, 104, 229, 207, 139, 1, 0];
        assert_eq!(encode(&plain, ValuePart::Carried, None), bytes);
    }

    #[test]
    fn every_torn_prefix_and_every_appended_byte_is_refused() {
        for entry in [full(false), full(true)] {
            let bytes = encode(&entry, ValuePart::Carried, None);
            for end in 0..bytes.len() {
                assert!(decode(bytes.get(..end).unwrap()).is_err());
            }
            assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), Err(Malformed::TrailingBytes));
        }
        assert_eq!(decode(&std::vec![2; HEADER_LIMIT + 1]), Err(Malformed::TooLong));
        assert_eq!(decode(&[9, 0]), Err(Malformed::Version(9)));
        assert!(Malformed::Version(9).to_string().contains("version 9"));
    }
}
