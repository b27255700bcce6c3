//! What operators see: CACHE.INFO, CACHE.LEASES, CACHE.TOP, CACHE.VERSION, INFO.

use corral_core::answer::{or_never, until};
use corral_core::entry::Entry;
use corral_core::error::Error;
use corral_core::lease::Lease;
use corral_core::policy::DEFAULT;
use corral_core::request::{LeasesWanted, TopWanted, OPTIONS};
use corral_core::time::{Clock, UnixMs};
use corral_testkit::Reply;

use super::commands::{of_the_module, said, Call};
use super::connection::{number, text};
use super::stage::NodeStage;
use crate::world::{Client, Place, Value};

type Answered = Result<Option<Reply>, Error>;

pub fn info(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    stage.world.expire(&place);
    let now = stage.world.now();
    let Some(stored) = stage.world.keys.get(&place) else { return Ok(Some(Reply::Nil)) };
    let (entry, value_bytes, string) = match &stored.value {
        Value::Entry(entry) => {
            let seen = stage.world.node.seen(place.0, entry);
            let value_bytes = seen.value().map_or(0, |value| value.len());
            (seen, value_bytes, None)
        }
        Value::Text(string) => (Entry::vacant(), string.len(), Some(stored.expires)),
        Value::List(_) => return Err(Error::WrongType),
    };
    Ok(Some(describe(stage, &call, &place, &entry, value_bytes, string, now)))
}

/// `string`: the key's own deadline, where it holds an ordinary string.
fn describe(
    stage: &NodeStage,
    call: &Call,
    place: &Place,
    entry: &Entry,
    value_bytes: usize,
    string: Option<UnixMs>,
    now: UnixMs,
) -> Reply {
    let (clock, windows) = (Clock::at(now), entry.windows());
    let (state, fresh_ms) = match string {
        Some(expires) => ("HIT", or_never(until(now, expires))),
        None => {
            let fresh_ms = entry.value().map_or(0, |_| or_never(until(now, entry.fresh_until())));
            (entry.peek(clock).state().word(), fresh_ms)
        }
    };
    let audience = stage.world.node.audience(place.0, &place.1);
    let tags = entry.tagged().map_or(&[][..], |tagged| &tagged.tags);
    let (group, lease) = match entry.live_lease(clock) {
        None => (Reply::Nil, Reply::Nil),
        Some(lease) => {
            let held_by = stage.world.node.holder(place.0, &place.1, lease.token);
            let held_by = holder(stage, call, held_by);
            let tied = number(u64::from(lease.is_tied));
            let mut pairs = token_and_times(lease, now);
            pairs.extend([("tied", tied), ("holder", held_by)]);
            let group = lease.group().map_or(DEFAULT, |group| group);
            (text(group), call.map(pairs))
        }
    };
    let optional = |given: Option<u64>| given.map_or(Reply::Nil, number);
    let pairs = vec![
        ("state", text(state)),
        ("value-bytes", number(value_bytes as u64)),
        ("fresh-ms", Reply::Number(fresh_ms)),
        ("swr-ms", number(windows.swr_ms)),
        ("sie-ms", number(windows.sie_ms)),
        ("build-ms", number(u64::from(entry.build_ms()))),
        ("fills", number(u64::from(entry.fills()))),
        ("tags", Reply::List(tags.iter().map(|tag| text(tag.name())).collect())),
        ("version", optional(entry.version())),
        ("floor", optional(entry.floor(now).map(|floor| floor.version))),
        ("group", group),
        ("lease", lease),
        ("waiters", number(u64::from(audience.waiters))),
        ("listeners", number(u64::from(audience.listeners))),
        ("last-failure", entry.failure().map_or(Reply::Nil, |failure| text(&failure.message))),
        ("failures-in-a-row", number(u64::from(entry.failures_in_a_row()))),
        ("backoff-ms", number(entry.backing_off(now).map_or(0, |failure| now.until(failure.until)))),
    ];
    call.map(pairs)
}

fn token_and_times(lease: &Lease, now: UnixMs) -> Vec<(&'static str, Reply)> {
    vec![
        ("token", number(lease.token.get())),
        ("age-ms", number(lease.granted_at.until(now))),
        ("left-ms", number(now.until(lease.deadline))),
    ]
}

/// The holder as a client sees it: `gone` if its connection is closed, nil if it is none.
fn holder(stage: &NodeStage, call: &Call, id: Option<Client>) -> Reply {
    let Some(id) = id.filter(|id| *id != 0) else { return Reply::Nil };
    if !stage.connections.contains_key(&id) {
        return text("gone");
    }
    let address = text(format!("client:{id}"));
    call.map(vec![("id", number(id)), ("name", text("")), ("addr", address)])
}

pub fn leases(stage: &mut NodeStage, call: Call) -> Answered {
    let wanted = LeasesWanted::parse(call.arguments.iter().copied())?;
    let now = stage.world.now();
    let mut found = Vec::new();
    for report in stage.world.node.leases(&wanted, now) {
        let place = (report.db, report.name.to_vec());
        let Some(Value::Entry(entry)) = stage.world.keys.get(&place).map(|stored| &stored.value) else { continue };
        let lease = entry.live_lease(Clock::at(now)).filter(|lease| lease.token == report.token);
        let Some(times) = lease.map(|lease| token_and_times(lease, now)) else { continue };
        let held_by = holder(stage, &call, Some(report.holder));
        let mut pairs = vec![("key", text(&*report.name)), ("db", number(u64::from(report.db)))];
        pairs.extend(times);
        pairs.push(("waiters", number(u64::from(report.waiters))));
        pairs.extend([("holder", held_by), ("group", text(&report.group))]);
        found.push(call.map(pairs));
    }
    Ok(Some(Reply::List(found)))
}

pub fn top(stage: &mut NodeStage, call: Call) -> Answered {
    let wanted = TopWanted::parse(call.arguments.iter().copied())?;
    let costs = stage.world.node.top(wanted).into_iter().map(|costs| {
        call.map(vec![
            ("key", text(&*costs.name)),
            ("db", number(u64::from(costs.db))),
            ("wait-ms", number(costs.wait_ms.sum())),
            ("build-ms", number(costs.build_ms.sum())),
            ("grants", number(costs.grants.sum())),
            ("saved", number(costs.saved.sum())),
        ])
    });
    Ok(Some(Reply::List(costs.collect())))
}

pub fn version(_stage: &mut NodeStage, call: Call) -> Answered {
    let options = OPTIONS.iter().map(text).collect();
    Ok(Some(call.map(vec![
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("commands", Reply::List(of_the_module().map(text).collect())),
        ("options", Reply::List(options)),
    ])))
}

/// `INFO corral`, as far as the node has it: gauges and counters.
pub fn server_info(stage: &mut NodeStage, call: Call) -> Answered {
    if !call.arguments[0].eq_ignore_ascii_case(b"corral") {
        return Err(said("ERR this stage knows INFO corral alone"));
    }
    let node = &stage.world.node;
    let gauges = [
        ("waiters", node.waiters()),
        ("live_leases", node.live_leases()),
        ("listeners", node.listeners()),
        ("waiters_peak", node.waiters_peak()),
        ("tags", node.tags_kept()),
        ("tag_floor", node.tag_floor_token()),
    ];
    let counters = node.counters.list().map(|(name, value, _)| (name, value));
    let lines: String =
        gauges.into_iter().chain(counters).map(|(name, value)| format!("corral_{name}:{value}\r\n")).collect();
    Ok(Some(text(format!("# corral_\r\n{lines}"))))
}
