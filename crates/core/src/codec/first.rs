//! Version 1: an entry as the first Corral wrote it. Read, not written any more.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use super::second::bounded;
use super::wire::{end, moment, span, Reader};
use super::{Header, Malformed, ValuePart};
use crate::entry::{Entry, Failure, Rare};
use crate::freshness::{Times, Windows};
use crate::lease::Lease;
use crate::request::MESSAGE_LIMIT;
use crate::token::Token;

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

pub(super) fn decode(body: &[u8]) -> Result<Header, Malformed> {
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
            has_arrived: false,
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
