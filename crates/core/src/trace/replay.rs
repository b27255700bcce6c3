//! A trace told again to another node.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bincode::config;

use super::outline;
use super::{Answered, HeldAs, Input, Shadow, Shown, HEAD};
use crate::codec;
use crate::entry::Entry;
use crate::node::rooms::WaiterId;
use crate::node::{Environment, Held, Key, Node, Parking, Writes};
use crate::request::Request;

/// What a replay has come to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Replayed {
    pub inputs: u64,
    /// Of them, calls on keys and looks at them.
    pub requests: u64,
}

/// Where a replay differs, or cannot go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The number of the input, from 0.
    pub at: u64,
    pub input: String,
    /// What came of it where it was written, and here.
    pub there: String,
    pub here: String,
}

/// Tells a node what is in a trace, and compares the steps.
pub fn replay(trace: &[u8]) -> Result<Replayed, Difference> {
    let mut replayed = Replayed::default();
    let cannot =
        |at: u64, why: &str| Difference { at, input: why.to_string(), there: String::new(), here: String::new() };
    let mut rest = trace.strip_prefix(HEAD).ok_or_else(|| cannot(0, "not a trace"))?;
    let mut node = Node::default();
    while let Some((encoded, there, behind)) = next_record(rest) {
        rest = behind;
        let at = replayed.inputs;
        let input = match bincode::serde::borrow_decode_from_slice::<Input, _>(encoded, config::standard()) {
            Ok((input, read)) if read == encoded.len() => input,
            _ => return Err(cannot(at, "no input")),
        };
        replayed.requests += u64::from(matches!(input, Input::Request { .. }));
        let shown = format!("{input:?}");
        let here = format!("{} {:?}", tell(&mut node, input), node.extents());
        if here.as_bytes() != there {
            let there = String::from_utf8_lossy(there).into_owned();
            return Err(Difference { at, input: shown, there, here });
        }
        replayed.inputs += 1;
    }
    Ok(replayed)
}

/// The next record, if it is whole: the input, what came of it, and what is behind.
fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (input, rest) = next_part(bytes)?;
    let (outline, rest) = next_part(rest)?;
    Some((input, outline, rest))
}

fn next_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn tell(node: &mut Node, input: Input) -> String {
    match input {
        Input::Request { key, request, value, answers } => return ask(node, &key, request, value, answers),
        Input::Event { event, moment } => node.event(event, moment),
        Input::Turn { moment, is_paused } => {
            return outline::of_turn(&node.turn(moment, is_paused), Shadow::of_stand_in);
        }
        Input::NextVisit { moment } => return format!("{:?}", node.next_visit(moment)),
        Input::VisitLater { db, name, moment } => node.visit_later(db, name, moment),
        Input::MovedAway { db, name } => node.moved_away(db, name),
        Input::ClusterIsDown { db, name } => node.cluster_is_down(db, name),
        Input::BeginRelease { moment, used, is_turn } => node.begin_release(moment, used, is_turn),
        Input::NextRelease { moment } => {
            return outline::of_release(&node.next_release(moment), Shadow::of_stand_in);
        }
        Input::EndRelease { moment } => node.end_release(moment),
        Input::TakeFloor => return format!("{:?}", node.take_floor()),
        Input::Applied { db, name, before, lease, youngest, moment } => {
            node.applied(db, name, before, lease.as_deref(), youngest, moment);
        }
        Input::AppliedMarks { marks, moment } => node.applied_marks(&marks, moment),
        Input::GiveUp { waiter, moment } => {
            let (answer, ended) = node.give_up(waiter, moment);
            return format!("{answer:?} {}", ended.is_some());
        }
        Input::Gone { waiter } => return format!("{}", node.gone(waiter).is_some()),
        Input::NotParked { waiter } => node.not_parked(waiter),
        Input::InvalidateTags { tags, swr_ms, moment } => {
            return format!("{:?}", node.invalidate_tags(&tags, swr_ms, moment));
        }
        Input::Configure { settings } => node.configure(settings),
        Input::ConfigureGroups { policies } => node.configure_groups(&policies),
        Input::TagsUsed => {
            crate::tag::Intern::intern(node.tags(), b"");
        }
    }
    String::new()
}

fn ask(node: &mut Node, shown: &Shown, request: Request, given: Option<Shadow>, answers: Vec<Answered>) -> String {
    let given = given.map(Shadow::stand_in);
    let mut request = request;
    if let (Request::Fill { value, .. } | Request::Set { value, .. }, Some(given)) = (&mut request, &given) {
        *value = given;
    }
    let mut entry = match codec::decode(&shown.header) {
        Ok(header) => header.into_entry(shown.value.map(Shadow::stand_in), node.tags()),
        Err(_) => Entry::vacant(),
    };
    let held = match shown.held {
        HeldAs::Nothing => Held::Nothing,
        HeldAs::Entry => Held::Entry,
        HeldAs::String(value) => Held::String { value: value.map(Shadow::stand_in) },
        HeldAs::Foreign => Held::Foreign,
    };
    let mut environment = Told { answers: answers.into(), asked_more: false };
    let mut key = Key {
        db: shown.db,
        name: shown.name,
        held,
        entry: &mut entry,
        expires: shown.expires,
        moment: shown.moment,
        is_paused: shown.is_paused,
        environment: &mut environment,
    };
    let step = node.request(&mut key, &request);
    let outline = outline::of_step(&step, &entry, Shadow::of_stand_in);
    match environment.asked_more || !environment.answers.is_empty() {
        true => format!("asked the server something else; {outline}"),
        false => outline,
    }
}

/// The server's answers, as they were.
struct Told {
    answers: VecDeque<Answered>,
    asked_more: bool,
}

impl Told {
    fn next<T>(&mut self, pick: impl FnOnce(Answered) -> Option<T>, otherwise: T) -> T {
        match self.answers.pop_front().and_then(pick) {
            Some(answer) => answer,
            None => {
                self.asked_more = true;
                otherwise
            }
        }
    }
}

impl Environment for Told {
    fn random(&mut self) -> f64 {
        self.next(|answer| if let Answered::Random(draw) = answer { Some(draw) } else { None }, 1.0)
    }

    fn writes(&mut self) -> Writes {
        let refused = Writes::Refused(Arc::from(&b""[..]));
        self.next(|answer| if let Answered::Writes(writes) = answer { Some(writes) } else { None }, refused)
    }

    fn permits(&mut self, _waiter: WaiterId) -> bool {
        self.next(|answer| if let Answered::Permits(permits) = answer { Some(permits) } else { None }, false)
    }

    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        self.next(|answer| if let Answered::Parking(parking) = answer { Some(parking) } else { None }, Parking::Denied)
    }
}
