//! What holders say, at whatever time.

use corral_core::token::Token;

use super::book::Built;
use super::{Run, TAGS};
use crate::world::{Place, Value};

impl Run {
    /// A holder speaks, at whatever time.
    pub(super) fn speak(&mut self) {
        let tokens: Vec<Token> = self.book.grants.keys().rev().take(6).copied().collect();
        if tokens.is_empty() {
            return;
        }
        let token = self.chance.pick(&tokens);
        let granted = self.book.grants[&token].clone();
        let place = granted.place.clone();
        let version = self.chance.one_in(3).then(|| self.chance.between(0, 9));
        let mut tags: Vec<&'static str> = Vec::new();
        for tag in TAGS {
            if self.chance.one_in(4) {
                tags.push(tag);
            }
        }
        let mut labels = format!("PX {}", self.chance.between(1, 600));
        if self.chance.one_in(2) {
            let windows = (self.chance.pick(&[0, 300]), self.chance.pick(&[0, 500, 5000]));
            labels = format!("{labels} SWR {} SIE {}", windows.0, windows.1);
        }
        if let Some(version) = version {
            labels = format!("{labels} VERSION {version}");
        }
        let kind = self.chance.between(0, 9);
        let began = granted.at;
        let (reply, is_word) = match kind {
            0..=3 => {
                if !tags.is_empty() {
                    labels = format!("{labels} TAGS {} {}", tags.len(), tags.join(" "));
                }
                let value = format!("v{}.{}", token.get(), self.book.now);
                let built = Built { place: Some(place.clone()), began, tags, version };
                self.book.values.insert(value.clone(), built);
                (self.w.fill_with(token, &place, &value, &labels), true)
            }
            4 => {
                let kept = match self.w.keys.get(&place).map(|stored| &stored.value) {
                    Some(Value::Entry(entry)) => entry.value().map(|value| crate::world::text(value)),
                    _ => None,
                };
                let built = kept.as_ref().and_then(|kept| self.book.values.get(kept)).cloned();
                let reply = self.w.touch_with(token, &place, &labels);
                if let (Some(kept), Some(built), "OK") = (kept, built, reply.as_str()) {
                    let version = version.or(built.version);
                    self.book.values.insert(kept, Built { began: began.max(built.began), version, ..built });
                }
                (reply, true)
            }
            5 => (self.w.fail_with(token, &place, "down"), true),
            6 => (self.w.pass_with(token, &place), true),
            7..=8 => (self.w.release_with(token, &place), true),
            _ => {
                let tied_to = self.chance.one_in(2).then_some(granted.client);
                let reply = self.w.renew_with(token, &place, self.chance.between(1, 900), tied_to);
                (reply, false)
            }
        };
        self.book.show(|| format!("{token:?} of {place:?} says {kind} {labels}: {reply}"));
        let is_refused = reply.starts_with("TRYAGAIN") || reply.starts_with("READONLY");
        if is_refused {
            return;
        }
        let is_error = reply.starts_with("MISCONF") || reply.starts_with("OOM");
        if is_word && !(kind == 4 && reply == "nil") {
            let lands = !matches!(reply.as_str(), "nil" | "0") && !is_error;
            self.book.spoken(token, lands);
            if is_error || reply == "nil" {
                // The lease ended, or stays: with ONCE, both can be.
                self.book.void(&place);
                if self.is_without_lease(&place, token) {
                    self.forget_once(&place, token);
                }
            }
        } else if is_word {
            // A TOUCH that found no value leaves the lease; by a token that is not current, it is in vain.
            if self.is_without_lease(&place, token) {
                self.book.spoken(token, false);
                self.forget_once(&place, token);
            }
        } else if let Ok(ms) = reply.parse::<u64>() {
            let deadline_ms = self.now_ms() + ms;
            if let Some(of) = self.book.grants.get_mut(&token) {
                // A late one is revived beside whoever has its permit by now.
                of.is_building &= of.deadline_ms > deadline_ms - ms;
                of.deadline_ms = deadline_ms;
                of.may_be_over = false;
                of.is_tied |= self.w.lease_of(&place).is_some_and(|lease| lease.is_tied);
            }
            if let Some(once) = self.book.once.get_mut(&place).filter(|once| once.token == token) {
                once.end_ms = deadline_ms;
            }
        }
    }

    fn is_without_lease(&self, place: &Place, token: Token) -> bool {
        self.w.lease_of(place).is_none_or(|lease| lease.token != token)
    }

    /// Its fill was a verdict, stored or not.
    fn forget_once(&mut self, place: &Place, token: Token) {
        let is_unknown = match self.w.keys.get(place).map(|stored| &stored.value) {
            Some(Value::Entry(entry)) => entry.unknown_until(corral_core::time::Clock::at(self.w.now())).is_some(),
            _ => false,
        };
        if !is_unknown && self.book.once.get(place).is_some_and(|once| once.token == token) {
            self.book.once.remove(place);
        }
    }
}
