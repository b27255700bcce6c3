//! GETORLOCK: the one call that asks.

use super::groups::GroupId;
use super::rooms::Asked;
use super::{Becomes, Caller, Effect, Form, Held, Key, Node, Reply, Step};
use crate::answer::Answer;
use crate::decision::{Ask, Cause, Decision};
use crate::error::Error;
use crate::policy::Policy;
use crate::request::Options;
use crate::time::Clock;

/// One call, once it has its place.
pub(super) struct Call<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) caller: Caller,
    pub(super) form: Form,
    pub(super) asked: Asked,
    pub(super) clock: Clock,
}

impl Node {
    pub fn get_or_lock(&mut self, key: &mut Key, options: &Options, caller: Caller, form: Form) -> Step {
        if !key.is_paused {
            return self.get_or_lock_now(key, options, caller, form);
        }
        // Nothing can be written: what the entry would become is seen by this call alone.
        let mut seen = key.entry.clone();
        let mut shown = Key { entry: &mut seen, held: key.held.clone(), environment: &mut *key.environment, ..*key };
        let mut step = self.get_or_lock_now(&mut shown, options, caller, form);
        step.effects.retain(|effect| !matches!(effect, Effect::Notify(_)));
        Step { becomes: Becomes::Same, signals: false, ..step }
    }

    fn get_or_lock_now(&mut self, key: &mut Key, options: &Options, caller: Caller, form: Form) -> Step {
        let mut step = Step::new();
        step.reply = match self.asked(key, options, caller, form, &mut step) {
            Ok(reply) => reply,
            Err(error) => Reply::Error(error),
        };
        self.finish(key, step)
    }

    pub(super) fn asked(
        &mut self,
        key: &mut Key,
        options: &Options,
        caller: Caller,
        form: Form,
        step: &mut Step,
    ) -> Result<Reply, Error> {
        if options.is_tied && caller.client == 0 {
            return Err(Error::TiedWithoutConnection);
        }
        if options.notify && key.db != 0 {
            return Err(Error::NotifyDatabase);
        }
        match &key.held {
            Held::String { .. } => {
                self.counters.hits += 1;
                return Ok(Reply::Answer(Answer::hit_of_string(key.expires, key.moment.now())));
            }
            Held::Foreign => return Err(Error::WrongType),
            Held::Nothing | Held::Entry => {}
        }
        if !self.is_master() {
            return self.asked_on_replica(key);
        }
        let clock = self.clock(key.moment, key.is_paused);
        self.do_what_is_due(key, clock, step);

        let group = self.groups.of(options.group);
        let policy = self.groups.get(group).map_or(Policy::NONE, |group| group.policy.clone());
        let room = self.rooms.find(key.db, key.name);
        let asked = self.place(key, options, group, &policy, caller);
        let call = Call { options, caller, form, asked, clock };
        let ask = Ask { early_beta: options.early_beta.unwrap_or(self.settings.early_beta), class: asked.class };
        self.expire_overdue(group, clock, step);
        let gate = || self.gate(group, asked.order, room, clock);
        let decision = key.entry.decide(ask, clock, gate, || key.environment.random());
        self.count(&decision, key);
        if decision.grants() {
            return self.granted(key, &call, &decision, step);
        }
        let answer = key.entry.answer(&decision, clock.now);
        match decision {
            Decision::Behind { .. } | Decision::Full { .. } => Ok(self.wait(key, &call, &decision, answer, step)),
            _ => {
                if matches!(decision, Decision::Fail(_) | Decision::Stale { lease_left_ms: 0 }) {
                    if let Some(group) = self.groups.get_mut(group) {
                        group.refused.add(1);
                    }
                }
                Ok(Reply::Answer(answer))
            }
        }
    }

    /// Fresh values are served on a replica, nothing else.
    fn asked_on_replica(&mut self, key: &mut Key) -> Result<Reply, Error> {
        let now = key.moment.now();
        let is_marked = key.entry.tagged().is_some_and(|tagged| tagged.is_marked(self.tags.floor()));
        if !key.entry.is_fresh(now) || key.entry.passing(now).is_some() || is_marked {
            return Err(Error::ReadOnly);
        }
        self.counters.hits += 1;
        Ok(Reply::Answer(key.entry.answer(&Decision::Hit, now)))
    }

    /// What is kept of this call if it is decided again; its place is that of an earlier one if it comes back to it.
    pub(super) fn place(
        &mut self,
        key: &Key,
        options: &Options,
        group: GroupId,
        policy: &Policy,
        caller: Caller,
    ) -> Asked {
        let tied_by_default = policy.tied.unwrap_or(self.settings.tied_default) && caller.client != 0;
        let lease_ms = options.lease_ms.or(policy.lease_ms).unwrap_or(self.settings.lease_ms);
        Asked {
            order: self.returning(key, caller).unwrap_or_else(|| self.next_ask()),
            class: options.class,
            group,
            lease_ms: lease_ms.min(self.settings.lease_max_ms) as u32,
            is_tied: options.is_tied || tied_by_default,
            once_ms: options.once_ms,
            last_mark: self.tags.last(),
            known_version: key.entry.known_version(key.moment.now()),
        }
    }

    fn next_ask(&mut self) -> u64 {
        self.asks += 1;
        self.asks
    }

    pub(super) fn count(&mut self, decision: &Decision, key: &Key) {
        match decision {
            Decision::Hit => self.counters.hits += 1,
            Decision::Stale { .. } => {
                self.counters.stale_hits += 1;
                self.counters.rebuilds_saved += 1;
                self.counters.build_ms_saved += u64::from(key.entry.build_ms());
            }
            Decision::Refresh(Cause::Stale) => self.counters.stale_hits += 1,
            Decision::Refresh(Cause::Early) => self.counters.early_refreshes += 1,
            // Counted as a lease granted, like every grant.
            Decision::Refresh(Cause::Forced) => {}
            _ => self.counters.misses += 1,
        }
    }

    /// The lease is the caller's, unless the server writes nothing now.
    fn granted(&mut self, key: &mut Key, call: &Call, decision: &Decision, step: &mut Step) -> Result<Reply, Error> {
        let Call { form, ref asked, clock, .. } = *call;
        let now = clock.now;
        let serves_meanwhile = match decision {
            Decision::Refresh(Cause::Early | Cause::Forced) => Some(Decision::Hit),
            _ => key.entry.passing(now).map(|until| Decision::Pass { left_ms: now.until(until) }),
        };
        let refused = if key.is_paused { None } else { self.refused_to_grant(key) };
        if key.is_paused || refused.is_some() {
            if let Some(decision) = serves_meanwhile {
                return Ok(Reply::Answer(key.entry.answer(&decision, now)));
            }
        }
        if let Some(error) = refused {
            let stale = Decision::Stale { lease_left_ms: 0 };
            return match form {
                _ if !asked.class.no_stale && key.entry.is_servable(now) => {
                    Ok(Reply::Answer(key.entry.answer(&stale, now)))
                }
                Form::Batch => {
                    // Nothing tells when the server writes again: whoever listens is told to ask again.
                    self.listen(key, call, decision);
                    if let Some(room) = self.rooms.find(key.db, key.name) {
                        self.visit_room(room);
                    }
                    Ok(Reply::Answer(Answer::Wait { left_ms: 0 }))
                }
                Form::Single => Err(error),
            };
        }
        if key.is_paused {
            return Ok(self.wait(key, call, decision, Answer::Wait { left_ms: 0 }, step));
        }
        let granted = self.grant(key, asked, call.caller.client, clock, step);
        Ok(Reply::Answer(granted.unwrap_or(Answer::Wait { left_ms: 0 })))
    }
}
