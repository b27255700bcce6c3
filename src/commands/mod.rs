//! The commands: one file each, with its syntax, what it parses into, and what it runs.

pub mod apply;
pub mod args;
pub mod ask;
pub mod fail;
#[cfg(feature = "faults")]
pub mod fault;
pub mod fill;
pub mod freshness;
pub mod get;
pub mod get_or_lock;
pub mod info;
pub mod invalidate;
pub mod leases;
pub mod mget_or_lock;
pub mod pass;
pub mod release;
pub mod renew;
pub mod set;
pub mod touch;

#[cfg(test)]
mod tests;
