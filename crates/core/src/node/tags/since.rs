//! Since when entries are stale that more than one mark has hit: each since the first mark after its birth.

use crate::time::UnixMs;
use crate::token::Token;
use alloc::vec::Vec;

/// Entries born up to a token are stale since a moment. Older births first, which are stale no later.
#[derive(Clone, Default, Debug)]
pub(super) struct Since(Vec<(Token, UnixMs)>);

/// Moments that are told apart; of more, two that lie close together for their age become the earlier one.
const MOMENTS: usize = 8;

impl Since {
    /// Entries born up to `token` are stale since `at`, or since before.
    pub(super) fn note(&mut self, token: Token, at: UnixMs) {
        for (_, moment) in self.0.iter_mut().filter(|(other, _)| *other <= token) {
            *moment = at.min(*moment);
        }
        let place = self.0.partition_point(|(other, _)| *other <= token);
        if self.0.get(place).is_none_or(|(_, moment)| at < *moment) {
            self.0.insert(place, (token, at));
        }
        self.0.dedup_by(|later, earlier| {
            let is_one = later.1 == earlier.1;
            if is_one {
                earlier.0 = later.0;
            }
            is_one
        });
        if self.0.len() > MOMENTS {
            self.join_closest();
        }
    }

    /// Since when an entry of this birth is stale, if it is older than a mark that is noted.
    pub(super) fn of(&self, birth: Token) -> Option<UnixMs> {
        self.0.iter().find(|(token, _)| birth <= *token).map(|(_, at)| *at)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &(Token, UnixMs)> {
        self.0.iter()
    }

    fn join_closest(&mut self) {
        let Some((_, last)) = self.0.last().copied() else { return };
        let closeness = |pair: &[(Token, UnixMs)]| match pair {
            [(_, earlier), (_, later)] => earlier.until(*later) * 1_000 / (earlier.until(last) + 1),
            _ => u64::MAX,
        };
        let closest = self.0.windows(2).enumerate().min_by_key(|(_, pair)| closeness(pair)).map(|(at, _)| at);
        if let Some(at) = closest {
            let (token, _) = self.0.remove(at + 1);
            if let Some(earlier) = self.0.get_mut(at) {
                earlier.0 = token;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Token {
        Token::new(number).unwrap()
    }

    fn noted(marks: &[(u64, u64)]) -> Since {
        let mut since = Since::default();
        marks.iter().for_each(|(number, at)| since.note(token(*number), UnixMs::new(*at)));
        since
    }

    #[test]
    fn each_birth_is_stale_since_the_first_mark_after_it() {
        let since = noted(&[(10, 100), (20, 200)]);
        let of = |birth| since.of(token(birth));
        assert_eq!(
            [of(5), of(10), of(11), of(20), of(21)],
            [100, 100, 200, 200, 0].map(|at| (at > 0).then(|| UnixMs::new(at)))
        );
    }

    #[test]
    fn what_is_noted_late_counts_for_older_births_alone() {
        let since = noted(&[(20, 200), (10, 100), (5, 150)]);
        assert_eq!(since.of(token(5)), Some(UnixMs::new(100)));
        assert_eq!(since.of(token(15)), Some(UnixMs::new(200)));
    }

    #[test]
    fn the_first_is_never_forgotten_nobody_serves_longer_and_there_are_eight_at_most() {
        let marks: Vec<(u64, u64)> = (1..=1_000).map(|n| (n * 10, n * 100)).collect();
        let since = noted(&marks);
        assert!(since.iter().len() <= MOMENTS);
        assert_eq!(since.of(token(1)), Some(UnixMs::new(100)));
        for (number, at) in marks {
            assert!(since.of(token(number)).unwrap() <= UnixMs::new(at), "{number}");
        }
    }
}
