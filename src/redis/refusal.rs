//! Every sentence a client can be refused with. Outcomes that are normal (a lost lease, nothing there) are not here.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

/// Why a call was refused. A refused call has changed nothing, but for [`Refusal::OutOfMemory`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// An argument is absent that the command's arity promised: a bug of ours.
    Absent,
    /// An option this command does not have.
    UnknownOption { given: String, allowed: &'static str },
    /// An option given twice, or two that exclude each other.
    Doubled { option: &'static str },
    /// An option without its value.
    Incomplete { option: &'static str },
    /// A number that is none or out of range.
    Range { name: &'static str, range: String },
    /// A text over its limit.
    TooLong { name: &'static str, limit: usize },
    /// An option that says nothing without another.
    Needs { option: &'static str, needed: &'static str },
    /// A list of keys that does not match its count.
    KeyCount { given: u64, found: usize },
    /// The key holds another type.
    WrongType,
    /// No memory for the value; who waited for it has it, and the lease has ended.
    OutOfMemory,
    /// Leases are granted on the master only.
    ReadOnly,
    /// CACHE.APPLY from a client.
    Internal,
    /// CACHE.APPLY with a header that is none.
    Malformed(String),
}

/// The answer of a callback that panicked.
pub const INTERNAL: &CStr =
    c"ERR internal error in Corral, see the server's log; the call may have taken effect or not, ask again";

/// The answer to a parked client when this server stops being the master.
pub const UNBLOCKED: &CStr =
    c"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// The answer to a parked client whose slot moved to another node: its retry is told where to.
pub const TRY_AGAIN: &CStr = c"TRYAGAIN the key's slot moved to another node while waiting, ask again";

/// The answer to a parked client whose key holds another type now.
pub const WRONG_TYPE: &CStr = c"WRONGTYPE Operation against a key holding the wrong kind of value";

impl Refusal {
    /// The error as it is sent: a stable code, a blank, a sentence.
    pub fn sentence(&self) -> Cow<'static, CStr> {
        let text = match self {
            Refusal::Absent => return Cow::Borrowed(INTERNAL),
            Refusal::UnknownOption { given, allowed } => {
                format!("ERR syntax error: unknown option '{given}', allowed are {allowed}")
            }
            Refusal::Doubled { option } => format!("ERR syntax error: only one {option} may be given"),
            Refusal::Incomplete { option } => format!("ERR syntax error: {option} needs a value"),
            Refusal::Range { name, range } => format!("ERR {name} must be {range}"),
            Refusal::TooLong { name, limit } => format!("ERR {name} must be at most {limit} bytes long"),
            Refusal::Needs { option, needed } => format!("ERR syntax error: {option} needs {needed}"),
            Refusal::KeyCount { given, found } => {
                format!("ERR numkeys must be the number of keys that follow: it is {given}, and {found} words follow")
            }
            Refusal::WrongType => return Cow::Borrowed(WRONG_TYPE),
            Refusal::OutOfMemory => {
                return Cow::Borrowed(
                    c"OOM command not allowed when used memory > 'maxmemory': waiters have the value, it is not stored",
                )
            }
            Refusal::ReadOnly => {
                return Cow::Borrowed(c"READONLY leases are granted on the master only: ask it, or use CACHE.GET here")
            }
            Refusal::Internal => {
                return Cow::Borrowed(c"ERR CACHE.APPLY is internal: it is accepted from the master and the AOF only")
            }
            Refusal::Malformed(why) => format!("ERR CACHE.APPLY: {why}"),
        };
        Cow::Owned(CString::new(text).unwrap_or_else(|_| INTERNAL.to_owned()))
    }
}

/// A client's bytes made fit for an error line or a log line: printable, and short.
pub fn legible(bytes: &[u8]) -> String {
    const LIMIT: usize = 64;
    let shown: String = bytes
        .iter()
        .take(LIMIT)
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' })
        .collect();
    if bytes.len() > LIMIT {
        shown + "..."
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_never_carries_a_clients_control_characters() {
        let refusal = Refusal::UnknownOption { given: legible(b"a\r\n\0%s\xff"), allowed: "LEASE" };
        assert_eq!(
            refusal.sentence().to_bytes(),
            b"ERR syntax error: unknown option 'a???%s?', allowed are LEASE".as_slice()
        );
    }
}
