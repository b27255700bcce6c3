//! Values that are built once, however many ask for them at the same time: a cache over Redis or Valkey with the Corral
//! module. Begin with [`Corral`].

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod building;
mod cached;
mod corral;
mod error;
mod flight;
mod lease;
mod near;
mod node;
mod options;
mod server;
mod target;
#[cfg(feature = "opentelemetry")]
mod telemetry;
mod teller;
mod template;
mod topology;
mod value;

pub use building::do_not_share;
pub use cached::Cached;
pub use corral::Corral;
pub use error::{BuildFailed, Error};
pub use node::Features;
pub use options::{Degrade, Event, OnTimeout, Options, Refresh, Settings};
pub use target::Target;
#[cfg(feature = "opentelemetry")]
pub use telemetry::telemetry;
pub use value::{Bytes, Cacheable};
