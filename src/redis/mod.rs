//! The shell: everything that talks to the server. The decisions are `corral_lease`'s; what is here brings it the
//! clock, the chance and the key, and carries out what it says.
//!
//! | room | what |
//! |---|---|
//! | [`sys`] | the server's API behind safe functions: the only unsafe code |
//! | [`guard`] | no panic crosses to the server (and `faults`, in test builds, sees that it holds) |
//! | [`keyspace`] | one step on one key: look, decide, store, replicate, wake |
//! | [`state`] | the module's own memory, in one place |
//! | [`waiting`] | waiting rooms and the clients parked in them |
//! | [`wakes`] | answers on their way out, in paced batches |
//! | [`scheduler`] | the one timer: deadlines, handovers, the next batch |
//! | [`ledger`], [`ties`] | the leases known on this node and who holds them; which end with a connection |
//! | [`parking`] | what the server does with a parked client, and what we say |
//! | [`events`] | what the server tells us: connections closed, roles changed |
//! | [`clock`] | noticing that the clock was set back |
//! | [`settings`] | what operators set |
//! | [`stats`], [`latencies`], [`resets`], [`info`], [`log`] | what operators see: counters, percentiles, the log |
//! | [`refusal`] | what callers are refused with |

pub mod clock;
pub mod events;
#[cfg(feature = "faults")]
pub mod faults;
pub mod guard;
pub mod info;
pub mod keyspace;
pub mod latencies;
pub mod ledger;
pub mod log;
pub mod parking;
pub mod refusal;
pub mod resets;
pub mod scheduler;
pub mod settings;
pub mod state;
pub mod stats;
pub mod sys;
pub mod ties;
pub mod waiting;
pub mod wakes;
