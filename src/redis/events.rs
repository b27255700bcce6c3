//! What the server tells us. Nothing is written from here: the module's own memory changes, and the scheduler is armed.

use super::sys::event::Event;
use super::sys::Context;
use super::{clock, resets, scheduler, state};

pub fn on(context: &Context, event: Event) {
    match event {
        Event::ClientGone { id } => state::with(|state| {
            let tied = state.ties.take(id);
            state.holders_gone.extend(tied);
        }),
        Event::RoleChanged => state::with(|state| state.role_changed = true),
        Event::Flushed { db } => state::with(|state| state.ledger.flush(db)),
        // Leases do not travel (the entry voids its own when it is next looked at), so neither do their lines.
        Event::Swapped { first, second } => state::with(|state| {
            state.ledger.flush(Some(first));
            state.ledger.flush(Some(second));
        }),
        Event::Housekeeping => {
            clock::watch(context);
            return resets::watch(context);
        }
    }
    scheduler::arm(context);
}
