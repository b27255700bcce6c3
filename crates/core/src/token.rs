//! Fencing tokens: numbers that only grow, across restarts and failovers too.

use core::cmp::Ordering;

use crate::steps::step;

/// A lease's number. 1 to 2^53 - 1, so that every client language's number type holds it exactly.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "trace", derive(serde::Serialize, serde::Deserialize))]
pub struct Token(u64);

impl Token {
    pub const MAX: u64 = (1 << 53) - 1;

    pub const FIRST: Self = Self(1);

    /// `None` outside 1 to [`Token::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > Self::MAX {
            None
        } else {
            Some(Self(number))
        }
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Gives out tokens: `max(last seen + 1, microseconds since the epoch)`.
///
/// The clock half keeps them growing over a restart without anything on disk; the other half keeps them growing when
/// the clock stands still, steps back, or lags behind the master this server took over from.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct TokenSource {
    last: u64,
}

impl TokenSource {
    /// A token larger than every one given out or seen before; `None` once they have run out, which the clock alone
    /// brings about in the year 2255. `now_us`: microseconds since the epoch.
    pub fn next(&mut self, now_us: u64) -> Option<Token> {
        let next = Token::new(self.last.saturating_add(1).max(now_us).max(1))?;
        self.last = next.0;
        Some(next)
    }

    /// Counts a token that was replicated or loaded, held at a day ahead of the clock: one from the far future would
    /// use up all those before it.
    pub fn see(&mut self, token: Token, now_us: u64) {
        let latest = now_us.saturating_add(FAR_FUTURE_US);
        self.last = self.last.max(token.0.min(latest));
    }

    /// The last token given out or seen; `None` if there was none.
    pub const fn last(&self) -> Option<Token> {
        Token::new(self.last)
    }
}

/// How far ahead of the clock a token may come from elsewhere: a day, in microseconds.
pub const FAR_FUTURE_US: u64 = 24 * 3_600 * 1_000_000;

impl PartialOrd for Token {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Token {
    fn cmp(&self, other: &Self) -> Ordering {
        step();
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_while_the_clock_stands_still_or_steps_back() {
        let mut source = TokenSource::default();
        let first = source.next(1_000).unwrap();
        let second = source.next(1_000).unwrap();
        let third = source.next(10).unwrap();
        assert!(first < second && second < third);
        assert_eq!(source.next(5_000).unwrap().get(), 5_000);
    }

    #[test]
    fn seen_tokens_count_but_for_those_of_the_far_future() {
        let mut source = TokenSource::default();
        source.see(Token(7_000), 10);
        assert_eq!(source.next(10).unwrap().get(), 7_001);
        source.see(Token(Token::MAX), 10);
        assert_eq!(source.next(10).unwrap().get(), FAR_FUTURE_US + 11);
    }

    #[test]
    fn the_last_token_is_followed_by_none() {
        let mut source = TokenSource { last: Token::MAX - 1 };
        assert_eq!(source.next(1).map(Token::get), Some(Token::MAX));
        assert_eq!(source.next(1), None);
    }

    #[test]
    fn zero_and_two_to_the_53_are_no_tokens() {
        assert!(Token::new(0).is_none());
        assert!(Token::new(1 << 53).is_none());
        assert!(Token::new(Token::MAX).is_some());
    }
}
