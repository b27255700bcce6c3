//! The commands: one file each, with what the server is told of it, its arguments, and its reply.

use std::ffi::CStr;

use corral_server::command_info::{Arg, Kind};

pub mod apply;
pub mod fail;
#[cfg(feature = "faults")]
pub mod fault;
pub mod fill;
pub mod get;
pub mod get_or_lock;
pub mod info;
pub mod invalidate;
pub mod invalidate_tag;
pub mod leases;
pub mod mget;
pub mod mget_or_lock;
pub mod outdate;
pub mod pass;
pub mod probe;
pub mod release;
pub mod renew;
pub mod set;
pub mod tags;
pub mod top;
pub mod touch;
pub mod version;

/// Every command's field in the server's statistics.
pub static FIELDS: [&CStr; 21] = [
    c"cmdstat_CACHE.GETORLOCK",
    c"cmdstat_CACHE.MGETORLOCK",
    c"cmdstat_CACHE.FILL",
    c"cmdstat_CACHE.SET",
    c"cmdstat_CACHE.GET",
    c"cmdstat_CACHE.MGET",
    c"cmdstat_CACHE.RENEW",
    c"cmdstat_CACHE.RELEASE",
    c"cmdstat_CACHE.FAIL",
    c"cmdstat_CACHE.PASS",
    c"cmdstat_CACHE.TOUCH",
    c"cmdstat_CACHE.INVALIDATE",
    c"cmdstat_CACHE.OUTDATE",
    c"cmdstat_CACHE.INVALIDATETAG",
    c"cmdstat_CACHE.TAGS",
    c"cmdstat_CACHE.INFO",
    c"cmdstat_CACHE.LEASES",
    c"cmdstat_CACHE.TOP",
    c"cmdstat_CACHE.VERSION",
    c"cmdstat_CACHE.APPLY",
    c"cmdstat_CACHE.PROBE",
];

/// The first release, and this one.
pub const FIRST: &CStr = c"0.1.0";
pub const SECOND: &CStr = c"0.2.0";

pub const KEY_ARG: Arg = Arg::new(c"key", Kind::Key);
pub const TOKEN_ARG: Arg = Arg::new(c"token", Kind::Integer);
pub const VALUE_ARG: Arg = Arg::new(c"value", Kind::String);
pub const LEASE_ARG: Arg = Arg::option(c"LEASE", c"milliseconds", Kind::Integer);
pub const NOSTALE_ARG: Arg = Arg::flag(c"NOSTALE", c"no-stale");
pub const FORCE_ARG: Arg = Arg::flag(c"FORCE", c"force");
pub const EARLY_ARG: Arg = Arg::option(c"EARLY", c"beta", Kind::Double);
pub const TIED_ARG: Arg = Arg::flag(c"TIED", c"tied");
pub const NOTIFY_ARG: Arg = Arg::flag(c"NOTIFY", c"notify");
pub const GROUP_ARG: Arg = Arg::option(c"GROUP", c"name", Kind::String);
pub const ONCE_ARG: Arg = Arg::option(c"ONCE", c"milliseconds", Kind::Integer);
/// The four ways to say when the value becomes stale. At most one is given.
pub const SOFT_ARG: Arg = Arg::one_of(
    c"soft-deadline",
    &[
        Arg::option(c"EX", c"seconds", Kind::Integer),
        Arg::option(c"PX", c"milliseconds", Kind::Integer),
        Arg::option(c"EXAT", c"unix-time-seconds", Kind::UnixTime),
        Arg::option(c"PXAT", c"unix-time-milliseconds", Kind::UnixTime),
    ],
);
pub const SWR_ARG: Arg = Arg::option(c"SWR", c"stale-while-revalidate-milliseconds", Kind::Integer);
pub const SIE_ARG: Arg = Arg::option(c"SIE", c"stale-if-error-milliseconds", Kind::Integer);
pub const JITTER_ARG: Arg = Arg::option(c"JITTER", c"percent", Kind::Integer);
pub const TAGS_ARG: Arg = Arg {
    name: c"tags",
    kind: Kind::Block(&[Arg::new(c"count", Kind::Integer), Arg::many(c"tag", Kind::String)]),
    token: Some(c"TAGS"),
    optional: true,
    multiple: false,
};
pub const VERSION_ARG: Arg = Arg::option(c"VERSION", c"version", Kind::Integer);

/// The error and its sentence, the same for every command.
macro_rules! error {
    () => {
        type Error = corral_core::error::Error;

        fn sentence(error: &Self::Error) -> std::borrow::Cow<'_, std::ffi::CStr> {
            $crate::reply::sentence(error)
        }
    };
}
pub(crate) use error;

/// An argument that the command's arity promises is absent: a bug of ours.
pub fn absent(_: corral_server::argv::Absent) -> corral_core::error::Error {
    corral_core::error::Error::Internal
}
