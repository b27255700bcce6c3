//! The commands: one file each, with what the server is told of it, its arguments, and its reply.

use std::ffi::CStr;

use corral_core::options::{CommandOption, Takes};
use corral_server::command_info::{Arg, Kind};

pub mod apply;
pub mod fail;
#[cfg(feature = "faults")]
pub mod fault;
pub mod fill;
pub mod get;
pub mod get_or_lock;
pub mod holder;
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

/// A command's own arguments, and its options as the core defines them.
pub fn with_options(first: Vec<Arg>, options: &[CommandOption]) -> Vec<Arg> {
    let (soft, others): (Vec<_>, Vec<_>) = options.iter().partition(|option| option.is_soft_deadline());
    // They exclude each other. Where there is one alone it is not a value's.
    let soft = match soft.len() {
        0 | 1 => soft.into_iter().map(documented).collect(),
        _ => vec![Arg::one_of(c"soft-deadline", soft.into_iter().map(documented).collect())],
    };
    first.into_iter().chain(soft).chain(others.into_iter().map(documented)).collect()
}

fn documented(option: &CommandOption) -> Arg {
    let kind = match option.takes {
        Takes::Nothing => Kind::Flag,
        Takes::Number { .. } | Takes::Lease => Kind::Integer,
        Takes::Moment { .. } => Kind::UnixTime,
        Takes::Decimal { .. } => Kind::Double,
        Takes::Group => Kind::String,
        Takes::Tags => Kind::Block(vec![Arg::new(c"count", Kind::Integer), Arg::many(c"tag", Kind::String)]),
        Takes::OneOf(words) => Kind::OneOf(words.iter().map(|word| Arg::flag(word.token, word.name)).collect()),
    };
    Arg::option(option.token, option.name, kind)
}

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
