//! What is written can be told again, and a difference is seen.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc as Shared;
use alloc::vec::Vec;
use std::sync::Mutex;

use super::*;
use crate::entry::Entry;
use crate::node::{Environment, Held, Key, Reply};
use crate::request::{Caller, Form, Labelled, Labels, Options};

struct Server;

impl Environment for Server {
    fn random(&mut self) -> f64 {
        0.5
    }
    fn writes(&mut self) -> Writes {
        Writes::Allowed
    }
    fn permits(&mut self, _waiter: WaiterId) -> bool {
        true
    }
    fn parking(&mut self, _waiters: u64, _percent: u64) -> Parking {
        Parking::Possible
    }
}

fn moment(ms: u64) -> Moment {
    Moment { wall_us: ms * 1000, steady_us: ms * 1000 }
}

/// A lease, a waiter, a fill with a tag and jitter, and the answer on its way.
fn traced() -> Vec<u8> {
    let written = Shared::new(Mutex::new(Vec::new()));
    let sink = written.clone();
    let sink = Box::new(move |bytes: &[u8]| sink.lock().unwrap().extend_from_slice(bytes));
    let mut node = Recorder::new(Settings::default(), sink);
    let mut entry = Entry::vacant();
    let mut held = Held::Nothing;
    let mut ask = |node: &mut Recorder, ms: u64, request: &Request| {
        let mut key = Key {
            db: 0,
            name: b"k",
            held: held.clone(),
            entry: &mut entry,
            expires: UnixMs::NEVER,
            moment: moment(ms),
            is_paused: false,
            environment: &mut Server,
        };
        let step = node.request(&mut key, request);
        held = Held::Entry;
        step.reply
    };
    let get = |client, block_ms| Request::GetOrLock {
        options: Options { block_ms, ..Options::default() },
        caller: Caller { client },
        form: Form::Single,
    };
    let Reply::Answer(granted) = ask(&mut node, 1000, &get(1, None)) else { panic!() };
    assert!(matches!(ask(&mut node, 1001, &get(2, Some(0))), Reply::Park { .. }));
    let words: [&[u8]; 7] = [b"PX", b"5000", b"JITTER", b"10", b"TAGS", b"1", b"t"];
    let labels = Labels::parse(words.into_iter(), Labelled::Fill).unwrap();
    let fill = Request::Fill { token: granted.granted().unwrap(), value: b"a value of some length", labels };
    assert_eq!(ask(&mut node, 1100, &fill), Reply::Ok);
    node.begin_release(moment(1101), None, true);
    assert!(node.next_release(moment(1101)).is_some());
    node.end_release(moment(1101));
    let bytes = written.lock().unwrap().clone();
    bytes
}

#[test]
fn the_same_steps_come_of_what_was_written() {
    let replayed = replay(&traced()).unwrap();
    assert_eq!((replayed.inputs, replayed.requests), (7, 3));
}

#[test]
fn a_value_is_told_by_its_length_and_hash() {
    let trace = traced();
    assert!(!trace.windows(7).any(|bytes| bytes == b"a value"));
    let short = Shadow::of_value(b"abc");
    assert_eq!(Shadow::of_stand_in(&short.stand_in()), short);
    let long = Shadow::of_value(&[7; 1000]);
    assert_eq!((Shadow::of_stand_in(&long.stand_in()), long.stand_in().len()), (long, 1000));
}

#[test]
fn a_difference_is_seen_and_a_torn_end_is_none() {
    let mut trace = traced();
    let whole = trace.len();
    trace.truncate(whole - 3);
    assert_eq!(replay(&trace).unwrap().inputs, 6);
    let mut changed = traced();
    let last = changed.iter().rposition(|byte| *byte == b'H').unwrap();
    changed[last] = b'L';
    assert_eq!(replay(&changed).unwrap_err().at, 5);
    assert_eq!(replay(b"else").unwrap_err().input.to_string(), "not a trace");
}
