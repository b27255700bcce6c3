//! The handles of parked clients, and what travels to them.
//!
//! A parked client is in exactly one of three states:
//!
//! * *waiting*: its handle is here, and the node knows its number, whether it still waits or its answer is queued;
//! * *woken*: the handle was released with a [`Delivery`], which comes back to `discard`, delivered or not;
//! * *gone*: the server ended the wait (disconnect, CLIENT UNBLOCK), and the handle was let go.
//!
//! Each goes from the first to one of the others once, because that takes the handle out of here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use corral_core::node::outbox::Outcome;
use corral_core::node::rooms::WaiterId;
use corral_core::node::Grant;
use corral_server::{clock, Handle, Seat, UserName};
use lazy_static::lazy_static;

use crate::memory;
use crate::module::Corral;

/// What travels to one client.
#[derive(Debug)]
pub struct Delivery {
    pub outcome: Outcome,
    /// The lease it grants, to be handed on if the client is gone before it gets there.
    pub grant: Option<Grant>,
    pub client: u64,
    pub is_delivered: bool,
}

/// One parked client. Owning its handle is owning the right, and the duty, to release it.
struct Parked {
    handle: Handle<Corral>,
    /// `None` if the server's ACL does not know the user: then it is not asked about again.
    user: Option<UserName>,
}

#[derive(Default)]
struct Seats {
    clients: BTreeMap<WaiterId, Parked>,
    by_seat: BTreeMap<Seat, WaiterId>,
}

lazy_static! {
    /// Apart from the rest of the memory: the server wants a handle back at once, whatever is being decided.
    static ref SEATS: Mutex<Seats> = Mutex::new(Seats::default());
}

fn seats() -> MutexGuard<'static, Seats> {
    SEATS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn insert(waiter: WaiterId, handle: Handle<Corral>, user: Option<UserName>) {
    let mut seats = seats();
    seats.by_seat.insert(handle.seat(), waiter);
    seats.clients.insert(waiter, Parked { handle, user });
}

/// Takes out the client of a seat: the server has ended its wait.
pub fn leave(seat: Seat) -> Option<(WaiterId, Handle<Corral>)> {
    let mut seats = seats();
    let waiter = seats.by_seat.remove(&seat)?;
    let parked = seats.clients.remove(&waiter)?;
    Some((waiter, parked.handle))
}

/// Runs `body` with a parked client's user; `None` if it is not parked, or its user is not known.
pub fn with_user<R>(waiter: WaiterId, body: impl FnOnce(&UserName) -> R) -> Option<R> {
    seats().clients.get(&waiter)?.user.as_ref().map(body)
}

/// Releases one client with its answer, unless it is gone already.
pub fn release(waiter: WaiterId, outcome: Outcome, client: u64, since_us: u64, grant: Option<Grant>) {
    let parked = {
        let mut seats = seats();
        let parked = seats.clients.remove(&waiter);
        if let Some(parked) = &parked {
            seats.by_seat.remove(&parked.handle.seat());
        }
        parked
    };
    let waited_us = clock::monotonic_us().saturating_sub(since_us);
    memory::with(|memory| memory.waits.record(waited_us));
    match parked {
        Some(parked) => parked.handle.release(Delivery { outcome, grant, client, is_delivered: false }),
        None => {
            if let Some(Grant { db, name, token }) = grant {
                crate::inbox::post(corral_core::node::event::Event::GrantLost { db, name, token });
            }
        }
    }
}
