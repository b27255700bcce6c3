//! Fencing tokens: numbers that only grow, across restarts and failovers too.

/// A lease's number. 1 to 2^53 - 1, so that every client language's number type holds it exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(u64);

impl Token {
    pub const MAX: u64 = (1 << 53) - 1;

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
#[derive(Clone, Default, Debug)]
pub struct Mint {
    last: u64,
}

impl Mint {
    /// A token larger than every one given out or seen before. `now_us`: microseconds since the epoch.
    pub fn next(&mut self, now_us: u64) -> Token {
        // Held at the end of the range, which the clock reaches in the year 2255 and `see` cannot bring near
        // (payloads that users can forge are refused if their token is far ahead of the clock).
        self.last = self.last.saturating_add(1).max(now_us).clamp(1, Token::MAX);
        Token(self.last)
    }

    /// Counts a token that was replicated or loaded.
    pub fn see(&mut self, token: Token) {
        self.last = self.last.max(token.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_grow_while_the_clock_stands_still_or_steps_back() {
        let mut mint = Mint::default();
        let first = mint.next(1_000);
        let second = mint.next(1_000);
        let third = mint.next(10);
        assert!(first < second && second < third);
        assert_eq!(mint.next(5_000).get(), 5_000);
    }

    #[test]
    fn seen_tokens_count() {
        let mut mint = Mint::default();
        mint.see(Token(7_000));
        assert_eq!(mint.next(10).get(), 7_001);
    }

    #[test]
    fn zero_and_two_to_the_53_are_no_tokens() {
        assert!(Token::new(0).is_none());
        assert!(Token::new(1 << 53).is_none());
        assert!(Token::new(Token::MAX).is_some());
    }
}
