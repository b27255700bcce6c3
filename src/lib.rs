//! Corral: a Redis module that ends cache stampedes.
//!
//! A cached value expires, a thousand requests miss at once, and all of them hit the database. `CACHE.GETORLOCK`
//! answers each in one round trip: with the value, with a lease to rebuild it, or with a signal to wait or to use the
//! old value. `CACHE.FILL` stores the rebuilt value and wakes every parked client.
//!
//! What is decided lies in `corral_core`, what the server offers in `corral_server`; here the two meet.
//!
//! | file | what |
//! |---|---|
//! | [`commands`] | one file per command: what the server is told of it, its arguments, its reply |
//! | [`keyspace`] | one call on one key: shows it to the node and carries out what the node says |
//! | [`scheduler`] | the one timer: turns, visits, the next batch of answers |
//! | [`module`] | what comes in from the server; it only posts to the [`inbox`] |
//! | [`memory`] | the node and what else is remembered: reached from the files above, and from nowhere else |
//! | [`parked`] | the handles of parked clients, and what travels to them |
//! | [`environment`] | what the node asks of the server while it decides |
//! | [`stored`] | entries on their way to and from files, replicas and digests |
//! | [`settings`], [`info`], [`latencies`], [`resets`], [`log`] | what operators set and see |
//! | [`reply`] | answers as they are written |
//! | `trace` | in a build with that feature: the file that the node's inputs are written to |

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
#![cfg_attr(test, allow(dead_code, reason = "called by the server only"))]

mod commands;
mod environment;
mod inbox;
mod info;
mod keyspace;
mod latencies;
mod log;
mod memory;
mod module;
mod parked;
mod reply;
mod resets;
mod scheduler;
mod settings;
mod stored;
#[cfg(feature = "trace")]
mod trace;

use corral_core::node::event::Event;
use corral_server::command::register;
use corral_server::{Argv, Context};
use module::Corral;

// Not in test builds: there is no server whose allocator could be used.
#[cfg(not(test))]
corral_server::library! { Corral, name: c"corral", version: 2, start: start }

/// Nothing is left registered if this fails: the server drops a module whose load failed.
fn start(context: &Context, arguments: Argv) -> Result<(), String> {
    settings::register(context, arguments)?;
    inbox::post(Event::RoleChanged { is_master: context.flags().is_master() });
    #[cfg(feature = "faults")]
    register::<Corral, commands::fault::Fault>(context)?;

    register::<Corral, commands::version::Version>(context)?;
    register::<Corral, commands::get_or_lock::GetOrLock>(context)?;
    register::<Corral, commands::mget_or_lock::MGetOrLock>(context)?;
    register::<Corral, commands::fill::Fill>(context)?;
    register::<Corral, commands::set::Set>(context)?;
    register::<Corral, commands::get::Get>(context)?;
    register::<Corral, commands::mget::MGet>(context)?;
    register::<Corral, commands::renew::Renew>(context)?;
    register::<Corral, commands::release::Release>(context)?;
    register::<Corral, commands::fail::Fail>(context)?;
    register::<Corral, commands::pass::Pass>(context)?;
    register::<Corral, commands::touch::Touch>(context)?;
    register::<Corral, commands::invalidate::Invalidate>(context)?;
    register::<Corral, commands::outdate::Outdate>(context)?;
    register::<Corral, commands::invalidate_tag::InvalidateTag>(context)?;
    register::<Corral, commands::tags::Tags>(context)?;
    register::<Corral, commands::info::Info>(context)?;
    register::<Corral, commands::leases::Leases>(context)?;
    register::<Corral, commands::top::Top>(context)?;
    register::<Corral, commands::apply::Apply>(context)?;
    register::<Corral, commands::probe::Probe>(context)?;
    reply::keep_words(context);
    log::loaded();
    Ok(())
}
