//! Steps with the shadows of values in their place, and what is compared of them.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use super::Shadow;
use crate::answer::{Answer, Payload};
use crate::codec::{self, ValuePart};
use crate::entry::Entry;
use crate::node::outbox::Outcome;
use crate::node::release::Released;
use crate::node::{Effect, Reply, Step};

/// How a value's shadow is seen: of the value itself, or of what stands for it.
pub type Seen = fn(&[u8]) -> Shadow;

/// A step, and what became of the entry.
pub fn of_step(step: &Step, entry: &Entry, seen: Seen) -> String {
    let reply = match &step.reply {
        Reply::Answer(answer) => Reply::Answer(answer_of(answer, seen)),
        Reply::Park { waiter, otherwise } => Reply::Park { waiter: *waiter, otherwise: answer_of(otherwise, seen) },
        reply => reply.clone(),
    };
    let effects = step.effects.iter().map(|effect| effect_of(effect, seen)).collect();
    let step = step.told(reply, effects);
    let header = codec::encode(entry, ValuePart::Carried, None);
    let value = entry.value().map(|value| seen(value));
    alloc::format!("{step:?} {header:?} {value:?}")
}

pub fn of_turn(step: &Step, seen: Seen) -> String {
    of_step(step, &Entry::vacant(), seen)
}

pub fn of_release<K: fmt::Debug>(released: &Option<(Released, K)>, seen: Seen) -> String {
    let shown = released
        .as_ref()
        .map(|(released, key)| (Released { outcome: outcome_of(&released.outcome, seen), ..released.clone() }, key));
    alloc::format!("{shown:?}")
}

fn effect_of(effect: &Effect, seen: Seen) -> Effect {
    match effect.clone() {
        Effect::Release { waiter, outcome, client, since_us, grant } => {
            Effect::Release { waiter, outcome: outcome_of(&outcome, seen), client, since_us, grant }
        }
        effect => effect,
    }
}

fn outcome_of(outcome: &Outcome, seen: Seen) -> Outcome {
    match outcome {
        Outcome::Answer(answer) => Outcome::Answer(answer_of(answer, seen)),
        Outcome::Error(error) => Outcome::Error(error.clone()),
    }
}

fn answer_of(answer: &Answer, seen: Seen) -> Answer {
    let mut answer = answer.clone();
    if let Answer::Hit { value, .. } | Answer::Stale { value, .. } | Answer::Refresh { value, .. } = &mut answer {
        if let Payload::Bytes(bytes) = value {
            let shadow = seen(bytes);
            *bytes = Arc::from([shadow.length.to_le_bytes(), shadow.hash.to_le_bytes()].concat());
        }
    }
    answer
}
