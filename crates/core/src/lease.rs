//! The lease: the right to rebuild one key.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::time::UnixMs;
use crate::token::Token;

/// The right to rebuild one key.
///
/// It stays in the entry after its deadline, so that a late holder can still fill until somebody takes over.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    pub token: Token,
    pub granted_at: UnixMs,
    /// When it ends, if nobody ends it before. A tie that closes brings this forward.
    pub deadline: UnixMs,
    /// The length it was granted for, in ms. A placeholder lives on as long after the deadline.
    pub length_ms: u32,
    pub is_tied: bool,
    /// It came with its key from another node, by whose clock its token is.
    pub has_arrived: bool,
    /// What few leases have.
    pub terms: Option<Box<Terms>>,
}

/// The terms under which a lease was granted, where they are not the plain ones.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Terms {
    /// The group it counts for; `None` for `default`.
    pub group: Option<Arc<[u8]>>,
    /// For how many ms the outcome is unknown if it ends without a verdict; 0 for ever. `None` without ONCE.
    pub once_ms: Option<u64>,
}

/// The longest lease there can be, in ms: a day. Longer ones are locks, which this is not.
pub const LEASE_LIMIT_MS: u64 = 86_400_000;

impl Lease {
    pub fn is_over(&self, now: UnixMs) -> bool {
        self.deadline <= now
    }

    pub fn group(&self) -> Option<&Arc<[u8]>> {
        self.terms.as_ref()?.group.as_ref()
    }

    pub fn once_ms(&self) -> Option<u64> {
        self.terms.as_ref()?.once_ms
    }

    /// Until when a late holder may still fill, if nobody takes over; with ONCE as long as its outcome is unknown.
    pub fn kept_until(&self) -> UnixMs {
        let late = self.deadline.plus(u64::from(self.length_ms));
        self.unknown_until().map_or(late, |unknown| late.max(unknown))
    }

    /// With ONCE: the end of the time in which its outcome is unknown, once its deadline has passed.
    pub fn unknown_until(&self) -> Option<UnixMs> {
        self.unknown_after(self.deadline)
    }

    /// The same of one that ends at another moment.
    pub(crate) fn unknown_after(&self, ended: UnixMs) -> Option<UnixMs> {
        self.once_ms().map(|ms| if ms == 0 { UnixMs::NEVER } else { ended.plus(ms) })
    }
}

/// The ways a lease can end. The words are those of logs and events.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LeaseEnd {
    /// FILL: the value is stored, or reaches its waiters.
    Filled,
    /// TOUCH: the old value is fresh again, all waiters have it.
    Touched,
    /// FAIL: waiters get the old value or the message, nobody tries until the back-off has passed.
    Failed,
    /// A fill older than the source is known to be.
    Behind,
    /// PASS: waiters build for themselves.
    Passed,
    /// RELEASE: handover.
    Released,
    /// The connection of a TIED lease closed: handover. The holder's late fill still lands if nobody took over.
    TieClosed,
    /// The grant never reached its client: handed on.
    Lost,
    /// The deadline passed: handover. The holder's late fill still lands if nobody took over.
    Expired,
    /// INVALIDATE, a tag's mark, SET, DEL, a flush: the holder builds on and its fill will not be stored.
    Voided,
}

impl LeaseEnd {
    /// Whether the holder has spoken, or is known to build no more; its share of the group's limit comes back.
    pub const fn returns_permit(self) -> bool {
        !matches!(self, LeaseEnd::Voided)
    }

    /// What it says of the group's source.
    pub const fn verdict(self) -> Verdict {
        match self {
            LeaseEnd::Filled | LeaseEnd::Touched | LeaseEnd::Passed => Verdict::Success,
            // The source has answered, if with old news: no failure of the group's, and a trial that succeeded.
            LeaseEnd::Behind => Verdict::Success,
            LeaseEnd::Failed | LeaseEnd::Expired => Verdict::Failure,
            LeaseEnd::Released | LeaseEnd::TieClosed | LeaseEnd::Lost | LeaseEnd::Voided => Verdict::None,
        }
    }
}

/// What the end of a rebuild says of the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Success,
    Failure,
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_stays_small() {
        assert!(size_of::<Lease>() <= 48, "{}", size_of::<Lease>());
    }
}
