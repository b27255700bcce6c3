//! What comes in from the server. Nothing is decided here: it is posted to the inbox, or handed to the file whose it is.

use std::ffi::CStr;

use corral_core::answer::Answer;
use corral_core::entry::Entry;
use corral_core::node::event::Event as NodeEvent;
use corral_core::node::name::Name;
use corral_core::node::outbox::Outcome;
use corral_server::event::{AsyncLoading, Loading};
use corral_server::info::Section;
use corral_server::payload::{Digested, LoadedKey, Payload, Rewritten, Saved};
use corral_server::{blocked, restores, Context, Event, Handle, Module, Seat};

use crate::parked::Delivery;
use crate::{environment, inbox, info, keyspace, log, memory, parked, reply, resets, scheduler, settings, stored};

/// The module.
pub struct Corral;

impl Module for Corral {
    type Entry = Entry;
    type Delivery = Delivery;

    const TYPE_NAME: &'static CStr = c"corralkey";
    const TYPE_VERSION: i32 = 2;
    const APPLY: &'static CStr = keyspace::APPLY;
    const ACL_CATEGORY: Option<&'static CStr> = Some(c"cache");

    fn event(context: &Context, event: Event) {
        let post = |event| {
            if inbox::post(event) {
                memory::with(|_| ());
            }
        };
        match event {
            Event::ClientGone { id } => post(NodeEvent::ClientGone { client: id }),
            Event::RoleChanged { is_master } => post(NodeEvent::RoleChanged { is_master }),
            Event::Flushed { db } => post(NodeEvent::Flushed { db }),
            Event::Swapped { first, second } => post(NodeEvent::Swapped { first, second }),
            Event::Loading(Loading::Started(_)) => post(NodeEvent::LoadBegan { beside: false }),
            Event::Loading(ended) => {
                post(NodeEvent::LoadEnded { beside: false, succeeded: ended == Loading::Ended });
            }
            Event::AsyncLoading(AsyncLoading::Started) => {
                restores::keep_out::<Self>(context);
                post(NodeEvent::LoadBegan { beside: true });
            }
            Event::AsyncLoading(ended) => {
                restores::admit(context);
                post(NodeEvent::LoadEnded { beside: true, succeeded: ended == AsyncLoading::Completed });
            }
            Event::ConfigChanged => {
                environment::limits_changed();
                return;
            }
            Event::Housekeeping => {
                resets::watch(context);
                scheduler::watch_clock(context);
                return;
            }
            _ => return,
        }
        scheduler::arm(context);
    }

    fn timer(context: &Context) {
        scheduler::ring(context);
    }

    fn recover_timer(context: &Context) {
        scheduler::recover(context);
    }

    fn settings_changed(context: &Context) -> Result<(), String> {
        settings::check_and_apply()?;
        scheduler::arm(context);
        Ok(())
    }

    fn panicked(place: &'static str, message: &str) {
        log::panic_caught(place, message);
        inbox::post(NodeEvent::Poisoned);
        resets::poisoned();
    }

    fn recover(context: &Context) {
        scheduler::arm(context);
    }

    fn deliver(context: &Context, delivery: &mut Delivery) {
        match &delivery.outcome {
            Outcome::Answer(answer) => reply::answer(context, answer, None),
            Outcome::Error(error) => reply::error(context, error),
        }
        delivery.is_delivered = true;
    }

    fn discard(context: &Context, delivery: Delivery) {
        if delivery.is_delivered {
            return;
        }
        // Never from here: the key must not be touched, and a server that became a replica sees itself as a master.
        if let Some(grant) = delivery.grant {
            inbox::post(NodeEvent::GrantLost { db: grant.db, name: grant.name, token: grant.token });
        }
        if blocked::can_lose_replies() {
            memory::try_with(|memory| memory.unanswered.push(delivery.client));
        }
        scheduler::arm(context);
    }

    fn time_out(context: &Context, seat: Seat) -> Option<Handle<Self>> {
        let (waiter, handle) = parked::leave(seat)?;
        let moment = memory::moment();
        let answer = memory::try_with(|memory| {
            let (answer, ended) = memory.node.give_up(waiter, moment);
            if let Some(ended) = ended {
                memory.node.counters_mut().waiters_timed_out += 1;
                memory.waits.record(moment.steady_us.saturating_sub(ended.since_us));
            }
            answer
        });
        reply::answer(context, &answer.unwrap_or(Answer::Wait { left_ms: 0 }), None);
        Some(handle)
    }

    fn leave(_context: &Context, seat: Seat) -> Option<Handle<Self>> {
        let (waiter, handle) = parked::leave(seat)?;
        let moment = memory::moment();
        memory::try_with(|memory| {
            if let Some(ended) = memory.node.gone(waiter) {
                memory.waits.record(moment.steady_us.saturating_sub(ended.since_us));
            }
        });
        Some(handle)
    }

    fn load(context: &Context, payload: &mut Payload, from: LoadedKey) -> Result<Entry, String> {
        stored::load(context, payload, from)
    }

    fn save(entry: &Entry, db: u32, out: &mut Saved) {
        stored::save(entry, db, out);
    }

    fn save_nothing(out: &mut Saved) {
        out.string(&corral_core::codec::NOTHING);
    }

    fn rewrite(entry: &Entry, db: u32, out: &mut Rewritten) {
        stored::rewrite(entry, db, out);
    }

    fn digest(entry: &Entry, db: u32, out: &mut Digested) {
        stored::digest(entry, db, out);
    }

    fn memory_bytes(entry: &Entry) -> usize {
        size_of::<Entry>().saturating_add(entry.heap_bytes())
    }

    /// The allocations are few; what takes long is giving back the pages of a large value.
    fn free_effort(entry: &Entry) -> usize {
        1 + entry.heap_bytes() / (16 * 1024)
    }

    fn unlinked(db: u32, key: &[u8], entry: &mut Entry) {
        let clock = corral_core::time::Clock::at(memory::moment().now());
        if entry.value().is_none() {
            inbox::post(NodeEvent::HuskGone { db, name: Name::new(key) });
        }
        let lease = entry.void_lease(clock);
        let has_rooms = memory::try_with(|memory| memory.node.has_rooms()).unwrap_or(true);
        if lease.is_some() || has_rooms {
            let token = lease.map(|lease| lease.token);
            inbox::post(NodeEvent::Unlinked { db, name: Name::new(key), token });
        }
    }

    fn copied(entry: &Entry) -> Entry {
        let mut copied = entry.clone();
        copied.void_lease(corral_core::time::Clock::at(memory::moment().now()));
        copied
    }

    fn save_aux(out: &mut Saved) {
        stored::save_marks(out);
    }

    fn load_aux(payload: &mut Payload) -> Result<(), String> {
        stored::load_marks(payload)
    }

    fn info(section: &Section, for_crash_report: bool) {
        info::report(section, for_crash_report);
    }
}
