//! Corral: a Redis module that ends cache stampedes.
//!
//! A cached value expires, a thousand requests miss at once, and all of them hit the database. `CACHE.GETORLOCK`
//! answers each in one round trip: with the value, with a lease to rebuild it, or with a signal to wait or to use the
//! old value. `CACHE.FILL` stores the rebuilt value and wakes every parked client.
//!
//! ```text
//!                     GETORLOCK            FILL
//!   nothing there ──────────────► leased ─────────► fresh ──soft deadline──► stale ──windows over──► nothing
//!                                  ▲  │                                        │
//!                   handover to ───┘  │ FAIL: backing off      GETORLOCK: leased again, the old value
//!                   the first waiter  │ PASS: not shared       serves meanwhile (SWR)
//! ```
//!
//! | room | what | may use |
//! |---|---|---|
//! | [`commands`] | one file per command: syntax, parse, run | `redis`, `corral_lease` |
//! | [`redis`] | everything that talks to the server | `corral_lease` |
//! | `corral_lease` (src/lease) | what a key, a lease and a waiting room are, and every decision | nothing |

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )
)]

mod commands;
mod redis;

use redis::sys::command::{add_acl_category, register, Command};
use redis::sys::{event, module, words, Argv, Context};

// Not in test builds: there is no server whose allocator could be used.
#[cfg(not(test))]
redis_module::redis_module! {
    name: "corral",
    version: 1,
    allocator: (redis_module::alloc::RedisAlloc, redis_module::alloc::RedisAlloc),
    data_types: [],
    init: on_load,
}

/// The crate's macro has the server's API and the allocator ready; the rest is registered here, each part where the
/// server has it. Nothing is left registered if this fails: the server drops a module whose load failed.
#[cfg_attr(test, allow(dead_code, reason = "called by the server only"))]
fn on_load(context: &redis_module::Context, arguments: &[redis_module::RedisString]) -> redis_module::Status {
    module::load(context, arguments, start)
}

fn start(context: &Context, arguments: Argv) -> Result<(), String> {
    module::register_parts(context)?;
    redis::settings::register(context, arguments)?;
    add_acl_category(context);
    #[cfg(feature = "faults")]
    register::<commands::fault::Fault>(context)?;

    register::<commands::get_or_lock::GetOrLock>(context)?;
    register::<commands::mget_or_lock::MGetOrLock>(context)?;
    register::<commands::fill::Fill>(context)?;
    register::<commands::set::Set>(context)?;
    register::<commands::get::Get>(context)?;
    register::<commands::renew::Renew>(context)?;
    register::<commands::release::Release>(context)?;
    register::<commands::fail::Fail>(context)?;
    register::<commands::pass::Pass>(context)?;
    register::<commands::touch::Touch>(context)?;
    register::<commands::invalidate::Invalidate>(context)?;
    register::<commands::info::Info>(context)?;
    register::<commands::leases::Leases>(context)?;
    register::<commands::apply::Apply>(context)?;
    words::keep(context, commands::leases::Leases::SPEC.name);
    // Last, when nothing can fail any more: 7.0 goes on to call a module that was not loaded.
    event::subscribe(context);
    Ok(())
}
