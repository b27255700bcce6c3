//! Entries on their way to and from files, replicas and digests; and the marks of tags beside them.

use std::borrow::Cow;
use std::sync::Arc;

use corral_core::codec::{self, Effect, ValuePart};
use corral_core::entry::Entry;
use corral_core::lease::LEASE_LIMIT_MS;
use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::name::Name;
use corral_core::settings::BACKOFF_LIMIT_MS;
use corral_core::time::UnixMs;
use corral_core::token::FAR_FUTURE_US;
use corral_server::payload::{Digested, LoadedKey, Payload, Rewritten, Saved};
use corral_server::Context;

use crate::{inbox, memory};

/// Reads an entry from an RDB file, a full synchronisation or RESTORE.
pub fn load(context: &Context, payload: &mut Payload, from: LoadedKey) -> Result<Entry, String> {
    let header = payload.string()?;
    let mut header = codec::decode(&header).map_err(|malformed| malformed.to_string())?;
    let value: Option<Arc<[u8]>> = match header.value {
        ValuePart::Absent => None,
        ValuePart::Carried => Some(Arc::from(&*payload.string()?)),
        ValuePart::Kept => return Err("a header without its value".to_owned()),
    };
    let moment = memory::moment();
    // Beside a load, clients' payloads are kept out. A read-only replica has its payloads from its master, whose clock is
    // another; on a writable one they can be anybody's.
    let is_trusted =
        from.is_loading || from.is_async || (!context.flags().is_master() && context.is_read_only_replica());
    let mut is_settled = false;
    if !is_trusted {
        is_settled = distrust(&mut header, moment.now(), moment.wall_us)?;
    }
    let youngest = header.youngest_token();
    let mut entry = memory::try_with(|memory| header.into_entry(value, memory.node.tags()))
        .ok_or_else(|| "the module is busy".to_owned())?;
    if !is_trusted {
        is_settled |=
            memory::try_with(|memory| memory.node.judge_arrival(&mut entry, moment.now())).unwrap_or_default();
    }
    if let Some(name) = from.key {
        let is_needed = entry.lease().is_some() || entry.tagged().is_some() || entry.value().is_none();
        if is_needed || youngest.is_some() {
            let source = match (from.is_async, from.is_loading) {
                (true, _) => LoadedFrom::DataSetBeside,
                (_, true) => LoadedFrom::DataSet,
                _ => LoadedFrom::Payload { is_settled },
            };
            let lease = entry.lease().cloned();
            let loaded = LoadedLease { db: from.db, name: Name::new(name), lease, youngest, from: source };
            if inbox::post(Event::Loaded(loaded)) {
                memory::with(|_| ());
            }
        }
    }
    Ok(entry)
}

/// Anyone may RESTORE a payload of their own making: it must not use up the tokens, nor make a lease or a back-off that
/// no call could make. Two nodes' clocks may differ all the same: what lies a little ahead is held at now. Says whether
/// something was.
fn distrust(header: &mut codec::Header, now: UnixMs, now_us: u64) -> Result<bool, String> {
    if header.youngest_token().is_some_and(|token| token.get() > now_us.saturating_add(FAR_FUTURE_US)) {
        return Err("a token more than a day ahead of the clock".to_owned());
    }
    if header.backoff_until().is_some_and(|until| until > now.plus(2 * BACKOFF_LIMIT_MS)) {
        return Err(format!("a back-off longer than {BACKOFF_LIMIT_MS} ms"));
    }
    let Some(lease) = header.lease_mut() else { return Ok(false) };
    if lease.deadline > now.plus(2 * LEASE_LIMIT_MS) {
        return Err(format!("a lease longer than {LEASE_LIMIT_MS} ms"));
    }
    // RENEW counts from the grant: one from the future would allow a longer lease.
    let held = (lease.granted_at.min(now), lease.deadline.min(now.plus(LEASE_LIMIT_MS)));
    let was = (std::mem::replace(&mut lease.granted_at, held.0), std::mem::replace(&mut lease.deadline, held.1));
    Ok(was != held)
}

/// An entry as it is written out: what happened around it is settled. In a fork child, or for DUMP.
fn settled(entry: &Entry, db: u32) -> Cow<'_, Entry> {
    let seen = memory::try_with(|memory| memory.node.differs(db, entry).then(|| memory.node.seen(db, entry)));
    seen.flatten().map_or(Cow::Borrowed(entry), Cow::Owned)
}

pub fn save(entry: &Entry, db: u32, out: &mut Saved) {
    let entry = settled(entry, db);
    out.string(&header_of(&entry));
    if let Some(value) = entry.value() {
        out.string(value);
    }
}

pub fn rewrite(entry: &Entry, db: u32, out: &mut Rewritten) {
    let entry = settled(entry, db);
    out.arguments(&header_of(&entry), entry.value().map(|value| &**value));
}

pub fn digest(entry: &Entry, db: u32, out: &mut Digested) {
    let entry = settled(entry, db);
    out.string(&header_of(&entry));
    if let Some(value) = entry.value() {
        out.string(value);
    }
}

fn header_of(entry: &Entry) -> Vec<u8> {
    let value = if entry.value().is_some() { ValuePart::Carried } else { ValuePart::Absent };
    codec::encode(entry, value, None)
}

/// The marks of tags, as the records that replicas get. Where none are kept, nothing is written.
pub fn save_marks(out: &mut Saved) {
    let records = memory::try_with(|memory| memory.node.marks()).unwrap_or_default();
    if records.is_empty() {
        return;
    }
    for record in &records {
        out.string(&codec::encode_marks(record));
    }
    // The end of the list.
    out.string(b"");
}

pub fn load_marks(payload: &mut Payload) -> Result<(), String> {
    let moment = memory::moment();
    loop {
        let record = payload.string()?;
        if record.is_empty() {
            return Ok(());
        }
        match codec::decode_effect(&record) {
            Ok(Effect::Marks(record)) => {
                // After what was posted: that the load began, which makes an end of the marks of before.
                memory::with(|memory| memory.node.applied_marks(&record, moment));
            }
            Ok(_) => return Err("what stands beside the keys are no marks of tags".to_owned()),
            Err(malformed) => return Err(malformed.to_string()),
        }
    }
}
