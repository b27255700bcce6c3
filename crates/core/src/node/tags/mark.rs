//! The mark of one tag: when it was invalidated, and how long old values may still serve.

use super::since::Since;
use crate::time::UnixMs;
use crate::token::Token;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) token: Token,
    pub(super) at: UnixMs,
    /// Of the marks before it.
    pub(super) since: Since,
    /// How long entries serve at most: those born up to a token, until a moment. Older births first, which never serve
    /// longer. All that have passed are one.
    pub(super) caps: Vec<(Token, UnixMs)>,
}

/// Caps of one tag that are told apart; of more, the younger are served as the older are.
const CAPS: usize = 8;

impl Mark {
    pub(super) fn cap(&mut self, token: Token, until: UnixMs, now: UnixMs) {
        // A younger entry that may serve no longer than an older one bounds that one, too.
        self.caps.retain(|(_, older)| *older < until);
        self.caps.push((token, until));
        // What has passed serves nobody, however old.
        let passed = self.caps.iter().filter(|(_, until)| *until <= now).count();
        if passed > 1 {
            self.caps.drain(..passed - 1);
        }
        if self.caps.len() > CAPS {
            let (token, _) = self.caps.pop().unwrap_or((token, until));
            if let Some(last) = self.caps.last_mut() {
                last.0 = token;
            }
        }
    }

    /// Its caps as one, that holds for them all.
    pub(super) fn whole_cap(&self) -> Option<(Token, UnixMs)> {
        Some((self.caps.last()?.0, self.caps.first()?.1))
    }

    pub(super) fn stale_since(&self, birth: Token) -> UnixMs {
        self.since.of(birth).unwrap_or(self.at)
    }

    pub(super) fn served_until(&self, birth: Token) -> UnixMs {
        self.caps.iter().find(|(token, _)| birth <= *token).map_or(UnixMs::NEVER, |(_, until)| *until)
    }
}
