//! Version 2: an entry in parts, of which those that say nothing are left out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::wire::{moment, span, Reader, Wide, Writer};
use super::{Header, Malformed, ValuePart};
use crate::entry::{Entry, Failure, Floor, Rare};
use crate::freshness::{Times, Windows};
use crate::lease::{Lease, Terms, LEASE_LIMIT_MS};
use crate::policy::is_group_name;
use crate::request::MESSAGE_LIMIT;
use crate::tag::TAGS_LIMIT;
use crate::time::UnixMs;

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
    pub(super) const ARRIVED_LEASE: u32 = 1 << 15;
    pub(super) const ALL: u32 = (1 << 16) - 1;
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
    let mut out = Writer::new();
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
        if lease.has_arrived {
            out.parts |= part::ARRIVED_LEASE;
        }
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

pub(super) fn decode(body: &[u8]) -> Result<Header, Malformed> {
    let mut from = Reader(body);
    let parts: u32 = from.take()?;
    let has = |part| parts & part != 0;
    let exclude = |one, other| has(one) && has(other);
    if parts > part::ALL
        || exclude(part::VALUE_CARRIED, part::VALUE_KEPT)
        || exclude(part::FRESH_UNTIL, part::FRESH_FOR_EVER)
        || exclude(part::EXPIRE_AT, part::EXPIRE_NEVER)
        || (has(part::ARRIVED_LEASE) && !has(part::LEASE))
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
        let lease = from.take::<LeasePart>()?.check()?;
        entry.lease = Some(Box::new(Lease { has_arrived: has(part::ARRIVED_LEASE), ..lease }));
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
            has_arrived: false,
            terms: (terms != Terms::default()).then(|| Box::new(terms)),
        };
        bounded(lease)
    }
}

/// No payload and no replicated effect makes an unbounded lease.
pub(super) fn bounded(lease: Lease) -> Result<Lease, Malformed> {
    let is_bounded =
        u64::from(lease.length_ms) <= LEASE_LIMIT_MS && lease.deadline <= lease.granted_at.plus(LEASE_LIMIT_MS);
    match is_bounded {
        true => Ok(lease),
        false => Err(Malformed::Range("lease length")),
    }
}
