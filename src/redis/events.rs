//! What the server tells us. Nothing is written from here: the module's own memory changes, and the scheduler is armed.

use super::sys::event::Event;
use super::sys::Context;
use super::{clock, resets, scheduler, state};

pub fn on(context: &Context, event: Event) {
    if event == Event::Housekeeping {
        clock::watch(context);
        return resets::watch(context);
    }
    state::with(|state| match event {
        Event::ClientGone { id } => {
            let tied = state.ties.take(id);
            state.holders_gone.extend(tied);
        }
        Event::RoleChanged => state.role_changed = true,
        Event::Flushed { db } => state.ledger.flush(db),
        // Leases do not travel (the entry voids its own when it is next looked at), so neither do their lines.
        Event::Swapped { first, second } => {
            state.ledger.flush(Some(first));
            state.ledger.flush(Some(second));
        }
        Event::Housekeeping => {}
    });
    scheduler::arm(context);
}
