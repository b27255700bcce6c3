//! The player, on a stage of a few made-up commands and a clock of its own.

use std::collections::BTreeMap;

use super::{play, read, Stage};
use crate::Reply;

/// `ECHO x` is answered x; `TOKEN n` the number n; `PARK ms` nil after that time, or, with 0, when somebody says `WAKE`;
/// `SUBSCRIBE` OK; `TELL client` has that one told; `TIME` the ms since the beginning.
#[derive(Default)]
struct Pocket {
    now_ms: u64,
    /// What is on its way to each client, and when it is there.
    due: BTreeMap<String, Vec<(u64, Reply)>>,
}

const NEVER: u64 = u64::MAX;

impl Pocket {
    fn reply_at(&mut self, client: &str, moment: u64, reply: Reply) {
        self.due.entry(client.to_owned()).or_default().push((moment, reply));
    }

    fn first(&self, client: &str) -> Option<u64> {
        self.due.get(client)?.first().map(|(moment, _)| *moment)
    }
}

impl Stage for Pocket {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn offers(&mut self, _need: &str) -> bool {
        true
    }

    fn send(&mut self, client: &str, words: &[Vec<u8>]) {
        let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let now = self.now_ms;
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["ECHO", word] => self.reply_at(client, now, Reply::Text(word.as_bytes().to_vec())),
            ["TOKEN", number] => self.reply_at(client, now, Reply::Number(number.parse().unwrap())),
            ["PARK", "0"] => self.reply_at(client, NEVER, Reply::Nil),
            ["PARK", ms] => self.reply_at(client, now + ms.parse::<u64>().unwrap(), Reply::Nil),
            ["SUBSCRIBE"] => self.reply_at(client, now, Reply::Word("OK".to_owned())),
            ["TELL", other] => {
                self.reply_at(other, now, Reply::Text(b"told".to_vec()));
                self.reply_at(client, now, Reply::Number(1));
            }
            ["WAKE"] => {
                for (moment, _) in self.due.values_mut().flatten().filter(|(moment, _)| *moment == NEVER) {
                    *moment = now;
                }
                self.reply_at(client, now, Reply::Number(1));
            }
            ["TIME"] => self.reply_at(client, now, Reply::Number(now as i64)),
            other => panic!("no such command: {other:?}"),
        }
    }

    fn reply(&mut self, client: &str) -> Option<Reply> {
        let moment = self.first(client).filter(|moment| *moment < NEVER)?;
        self.now_ms = self.now_ms.max(moment);
        Some(self.due.get_mut(client)?.remove(0).1)
    }

    fn has_reply(&mut self, client: &str) -> bool {
        self.first(client).is_some_and(|moment| moment <= self.now_ms)
    }

    fn is_parked(&mut self, client: &str) -> bool {
        self.first(client).is_some_and(|moment| moment > self.now_ms)
    }

    fn hang_up(&mut self, client: &str) {
        self.due.remove(client);
    }

    fn advance_ms(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// What went wrong: expected and got.
fn told(text: &str) -> Option<(String, String)> {
    let stories = read(&format!("story s\n{text}")).unwrap();
    play(&stories[0], &mut Pocket::default()).map(|failure| (failure.expected, failure.got))
}

fn wrong(text: &str, expected: &str, got: &str) {
    assert_eq!(told(text), Some((expected.to_owned(), got.to_owned())), "{text}");
}

#[test]
fn a_story_that_goes_as_it_is_told_has_no_failure() {
    for text in [
        "a: ECHO \"x y\"\n----\na: \"x y\"",
        "a: TOKEN 5\na: TOKEN 7\na: ECHO <t>\n----\na: <token t>\na: <token u>\na: \"5\"",
        "a: PARK 0\nb: PARK 0\nx: WAKE\n----\na: parked\nb: parked\nx: 1\nb: nil\na: nil",
        "a: PARK 50\n----\na: parked\n\nthen\nwait 50\n----\na: nil",
        "s: SUBSCRIBE\na: TELL s\na: TELL s\n----\ns: OK\na: 1\ns: \"told\"\na: 1\ns: \"told\"",
        "eventually a: TIME\nat 500\na: TIME\n----\na: <ms 100..110>\na: 500",
        "a: PARK 0\ngone a\nx: WAKE\n----\na: parked\nx: 1",
        "a: ECHO x\nb: ECHO x\n----\neach: \"x\"",
    ] {
        assert_eq!(told(text), None, "{text}");
    }
}

#[test]
fn another_reply_than_the_one_told_is_a_failure() {
    wrong("a: ECHO x\n----\na: \"y\"", "\"y\"", "\"x\"");
    wrong("a: TOKEN 5\na: TOKEN 4\n----\na: <token t>\na: <token u>", "<token u>", "4");
    wrong("a: PARK 0\n----\na: nil", "nil", "nothing");
    wrong("a: ECHO x\n----\na: parked", "parked", "\"x\"");
}

#[test]
fn a_parked_client_that_is_answered_unasked_is_a_failure() {
    wrong("a: PARK 50\nwait 60\n----\na: parked", "no reply to a in this scene", "nil");
    wrong("s: SUBSCRIBE\na: TELL s\n----\ns: OK\na: 1", "no reply to s in this scene", "\"told\"");
}

#[test]
fn a_reply_that_does_not_come_is_a_failure() {
    wrong("a: PARK 0\nx: ECHO 1\n----\na: parked\nx: \"1\"\na: nil", "nil", "nothing");
    assert!(told("a: PARK 0\na: ECHO 1\n----\na: parked\na: \"1\"").is_some());
    assert!(told("eventually a: ECHO x\n----\na: \"y\"").is_some());
}
