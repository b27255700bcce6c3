//! TIED leases by connection: such a lease ends when its holder's connection closes.
//!
//! Kept apart from the ledger, because a tie outlives its lease. After an invalidation the holder builds on, and those
//! that joined it are to ask again as soon as it is gone, not only at the deadline.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use corral_lease::entry::Lease;
use corral_lease::time::UnixMs;
use corral_lease::token::Token;

use super::state::Place;

/// The ties of every connection, each for one length of its lease after the deadline: a holder rarely renews later.
/// One that does is tied anew.
#[derive(Default, Debug)]
pub struct Ties {
    by_client: HashMap<u64, HashMap<Token, Arc<Place>>>,
    by_token: HashMap<Token, (u64, UnixMs)>,
    by_end: BTreeSet<(UnixMs, Token)>,
}

impl Ties {
    pub fn tie(&mut self, client_id: u64, lease: Lease, place: Arc<Place>) {
        self.by_client.entry(client_id).or_default().insert(lease.token, place);
        self.by_token.insert(lease.token, (client_id, lease.kept_until()));
        self.by_end.insert((lease.kept_until(), lease.token));
    }

    /// The lease's deadline was moved.
    pub fn renew(&mut self, lease: Lease) {
        if let Some((_, end)) = self.by_token.get_mut(&lease.token) {
            self.by_end.remove(&(*end, lease.token));
            *end = lease.kept_until();
            self.by_end.insert((*end, lease.token));
        }
    }

    /// The connection that a lease is tied to.
    pub fn client(&self, token: Token) -> Option<u64> {
        self.by_token.get(&token).map(|(client_id, _)| *client_id)
    }

    pub fn untie(&mut self, token: Token) {
        let Some((client_id, end)) = self.by_token.remove(&token) else { return };
        self.by_end.remove(&(end, token));
        if let Some(tokens) = self.by_client.get_mut(&client_id) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.by_client.remove(&client_id);
            }
        }
    }

    /// Takes out the ties of a connection that closed.
    pub fn take(&mut self, client_id: u64) -> Vec<(Arc<Place>, Token)> {
        let tokens = self.by_client.remove(&client_id).unwrap_or_default();
        for token in tokens.keys() {
            if let Some((_, end)) = self.by_token.remove(token) {
                self.by_end.remove(&(end, *token));
            }
        }
        tokens.into_iter().map(|(token, place)| (place, token)).collect()
    }

    /// Lets go of ties whose leases are over for good.
    pub fn expire(&mut self, now: UnixMs) {
        while let Some((_, token)) = self.by_end.first().copied().filter(|(end, _)| *end <= now) {
            self.untie(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(token: u64, deadline: u64) -> Lease {
        Lease {
            token: Token::new(token).unwrap(),
            granted_at: UnixMs::EPOCH,
            deadline: UnixMs::new(deadline),
            length_ms: 10,
            tied: true,
            db: 0,
        }
    }

    #[test]
    fn nothing_is_kept_of_a_tie_that_is_over() {
        let mut ties = Ties::default();
        let place = Place::new(0, b"page");
        for token in 1..=4 {
            ties.tie(7, lease(token, 100 * token), place.clone());
        }
        ties.untie(Token::new(1).unwrap());
        ties.renew(lease(2, 10_000));
        ties.expire(UnixMs::new(309));
        assert_eq!(ties.client(Token::new(3).unwrap()), Some(7), "late, and not over");
        ties.expire(UnixMs::new(310));
        let mut left: Vec<u64> = ties.take(7).into_iter().map(|(_, token)| token.get()).collect();
        left.sort_unstable();
        assert_eq!(left, [2, 4]);
        assert!(ties.by_client.is_empty() && ties.by_token.is_empty() && ties.by_end.is_empty());
    }
}
