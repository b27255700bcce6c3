//! A node that writes down what it is told.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use bincode::config;

use super::outline;
use super::{Answered, HeldAs, Input, Shadow, Shown};
use crate::answer::Answer;
use crate::codec::{self, MarksRecord, ValuePart};
use crate::lease::Lease;
use crate::node::event::Event;
use crate::node::name::Name;
use crate::node::release::Released;
use crate::node::rooms::{Waiter, WaiterId};
use crate::node::stats::Counters;
use crate::node::tags::Tags;
use crate::node::{Environment, Held, Key, Node, Parking, Step, Writes};
use crate::policy::Policies;
use crate::request::Request;
use crate::settings::Settings;
use crate::time::Moment;
use crate::token::Token;

/// Where the bytes of a trace go.
pub type Sink = Box<dyn FnMut(&[u8]) + Send>;

/// A node, and where what it is told is written. What changes it has to come by the methods here: it can only be read
/// besides.
pub struct Recorder {
    node: Node,
    sink: Sink,
    has_told_of_tags: bool,
}

impl Deref for Recorder {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(out)
    }
}

impl Recorder {
    pub fn new(settings: Settings, mut sink: Sink) -> Self {
        sink(super::HEAD);
        let mut recorder = Self { node: Node::default(), sink, has_told_of_tags: false };
        recorder.configure(settings);
        recorder
    }

    pub fn request(&mut self, key: &mut Key, request: &Request) -> Step {
        let held = match &key.held {
            Held::Nothing => HeldAs::Nothing,
            Held::Entry => HeldAs::Entry,
            Held::String { value } => HeldAs::String(value.as_deref().map(Shadow::of_value)),
            Held::Foreign => HeldAs::Foreign,
        };
        let shown = Shown {
            db: key.db,
            name: key.name,
            held,
            header: codec::encode(key.entry, ValuePart::Carried, None),
            value: key.entry.value().map(|value| Shadow::of_value(value)),
            expires: key.expires,
            moment: key.moment,
            is_paused: key.is_paused,
        };
        let mut request = request.clone();
        let mut listening = Listening { environment: &mut *key.environment, answers: Vec::new() };
        let mut listened = Key { entry: &mut *key.entry, held: key.held.clone(), environment: &mut listening, ..*key };
        let step = self.node.request(&mut listened, &request);
        let answers = listening.answers;
        let value = match &mut request {
            Request::Fill { value, .. } | Request::Set { value, .. } => Some(Shadow::of_value(core::mem::take(value))),
            _ => None,
        };
        let outline = outline::of_step(&step, key.entry, Shadow::of_value);
        self.write(&Input::Request { key: shown, request, value, answers }, &outline);
        step
    }

    pub fn event(&mut self, event: Event, moment: Moment) {
        if self.node.tags.are_used() && !core::mem::replace(&mut self.has_told_of_tags, true) {
            self.write(&Input::TagsUsed, "");
        }
        self.node.event(event.clone(), moment);
        self.write(&Input::Event { event, moment }, "");
    }

    pub fn turn(&mut self, moment: Moment, is_paused: bool) -> Step {
        let step = self.node.turn(moment, is_paused);
        self.write(&Input::Turn { moment, is_paused }, &outline::of_turn(&step, Shadow::of_value));
        step
    }

    pub fn next_visit(&mut self, moment: Moment) -> Option<(u32, Name)> {
        let visit = self.node.next_visit(moment);
        self.write(&Input::NextVisit { moment }, &alloc::format!("{visit:?}"));
        visit
    }

    pub fn visit_later(&mut self, db: u32, name: Name, moment: Moment) {
        self.node.visit_later(db, name.clone(), moment);
        self.write(&Input::VisitLater { db, name, moment }, "");
    }

    pub fn moved_away(&mut self, db: u32, name: &[u8]) {
        self.node.moved_away(db, name);
        self.write(&Input::MovedAway { db, name }, "");
    }

    pub fn cluster_is_down(&mut self, db: u32, name: &[u8]) {
        self.node.cluster_is_down(db, name);
        self.write(&Input::ClusterIsDown { db, name }, "");
    }

    pub fn begin_release(&mut self, moment: Moment, used: Option<u64>, is_turn: bool) {
        self.node.begin_release(moment, used, is_turn);
        self.write(&Input::BeginRelease { moment, used, is_turn }, "");
    }

    pub fn next_release(&mut self, moment: Moment) -> Option<(Released, Option<(u32, Name)>)> {
        let released = self.node.next_release(moment);
        self.write(&Input::NextRelease { moment }, &outline::of_release(&released, Shadow::of_value));
        released
    }

    pub fn end_release(&mut self, moment: Moment) {
        self.node.end_release(moment);
        self.write(&Input::EndRelease { moment }, "");
    }

    pub fn take_floor(&mut self) -> Vec<MarksRecord> {
        let floor = self.node.take_floor();
        self.write(&Input::TakeFloor, &alloc::format!("{floor:?}"));
        floor
    }

    pub fn applied(
        &mut self,
        db: u32,
        name: &[u8],
        before: Option<Token>,
        lease: Option<&Lease>,
        youngest: Option<Token>,
        moment: Moment,
    ) {
        self.node.applied(db, name, before, lease, youngest, moment);
        let lease = lease.map(Cow::Borrowed);
        self.write(&Input::Applied { db, name, before, lease, youngest, moment }, "");
    }

    pub fn applied_marks(&mut self, marks: &MarksRecord, moment: Moment) {
        self.node.applied_marks(marks, moment);
        self.write(&Input::AppliedMarks { marks: Cow::Borrowed(marks), moment }, "");
    }

    pub fn give_up(&mut self, waiter: WaiterId, moment: Moment) -> (Answer, Option<Waiter>) {
        let (answer, ended) = self.node.give_up(waiter, moment);
        self.write(&Input::GiveUp { waiter, moment }, &alloc::format!("{answer:?} {}", ended.is_some()));
        (answer, ended)
    }

    pub fn gone(&mut self, waiter: WaiterId) -> Option<Waiter> {
        let ended = self.node.gone(waiter);
        self.write(&Input::Gone { waiter }, &alloc::format!("{}", ended.is_some()));
        ended
    }

    pub fn not_parked(&mut self, waiter: WaiterId) {
        self.node.not_parked(waiter);
        self.write(&Input::NotParked { waiter }, "");
    }

    pub fn invalidate_tags(&mut self, tags: &[&[u8]], swr_ms: Option<u64>, moment: Moment) -> Option<MarksRecord> {
        let record = self.node.invalidate_tags(tags, swr_ms, moment);
        self.write(&Input::InvalidateTags { tags: tags.to_vec(), swr_ms, moment }, &alloc::format!("{record:?}"));
        record
    }

    pub fn configure(&mut self, settings: Settings) {
        self.node.configure(settings.clone());
        self.write(&Input::Configure { settings }, "");
    }

    pub fn configure_groups(&mut self, policies: &Policies) {
        self.node.configure_groups(policies);
        self.write(&Input::ConfigureGroups { policies: policies.clone() }, "");
    }

    /// No input but for the first: which names are kept decides nothing.
    pub fn tags(&mut self) -> &mut Tags {
        self.node.tags()
    }

    /// No input: nothing is decided by what is counted.
    pub fn counters_mut(&mut self) -> &mut Counters {
        self.node.counters_mut()
    }

    /// The same.
    pub fn look_at_stats(&mut self) {
        self.node.look_at_stats();
    }

    /// The same.
    pub fn reset_stats(&mut self) {
        self.node.reset_stats();
    }

    fn write(&mut self, input: &Input, outline: &str) {
        let outline = alloc::format!("{outline} {:?}", self.node.extents());
        // An input that cannot be encoded is a record of nothing, at which the replay ends.
        let encoded = bincode::serde::encode_to_vec(input, config::standard()).unwrap_or_default();
        let mut record = Vec::with_capacity(encoded.len() + outline.len() + 8);
        for part in [&*encoded, outline.as_bytes()] {
            record.extend((part.len() as u32).to_le_bytes());
            record.extend(part);
        }
        (self.sink)(&record);
    }
}

/// The server, and what it answered.
struct Listening<'a> {
    environment: &'a mut dyn Environment,
    answers: Vec<Answered>,
}

impl Environment for Listening<'_> {
    fn random(&mut self) -> f64 {
        let answer = self.environment.random();
        self.answers.push(Answered::Random(answer));
        answer
    }

    fn writes(&mut self) -> Writes {
        let answer = self.environment.writes();
        self.answers.push(Answered::Writes(answer.clone()));
        answer
    }

    fn permits(&mut self, waiter: WaiterId) -> bool {
        let answer = self.environment.permits(waiter);
        self.answers.push(Answered::Permits(answer));
        answer
    }

    fn parking(&mut self, waiters: u64, percent: u64) -> Parking {
        let answer = self.environment.parking(waiters, percent);
        self.answers.push(Answered::Parking(answer));
        answer
    }
}
