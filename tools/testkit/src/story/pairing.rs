//! Whether a story's replies and commands belong together: known without playing it, so that a story that every stage
//! of today skips is not found broken on the day it is played.

use std::collections::{BTreeSet, VecDeque};

use super::pattern::{bind, Names};
use super::{words, Line, Scene, Story};

/// What is wrong with the story, and in which line.
pub fn check(story: &Story) -> Result<(), String> {
    let mut late = BTreeSet::new();
    story.scenes.iter().try_for_each(|scene| check_scene(scene, &mut late))
}

/// `late` are those to whom something can come unasked: parked or subscribed.
fn check_scene(scene: &Scene, late: &mut BTreeSet<(String, bool)>) -> Result<(), String> {
    let each = matches!(scene.expected.as_slice(), [only] if only.text.starts_with("each: "));
    let mut expected: VecDeque<&Line> = scene.expected.iter().collect();
    for line in &scene.expected {
        let (_, pattern) = line.text.split_once(": ").ok_or_else(|| at(line, "no CLIENT: REPLY"))?;
        // Nothing fits it here; that it can be read is what counts.
        bind(pattern, "", &Names::new()).map_err(|why| at(line, &why))?;
    }
    for line in &scene.input {
        let call = line.text.strip_prefix("eventually ").unwrap_or(&line.text);
        let Some((client, command)) = call.split_once(": ") else {
            match line.text.split_once(' ') {
                Some(("gone", client)) => late.retain(|(name, _)| name != client),
                Some(("wait" | "at", ms)) if ms.parse::<u64>().is_ok() => {}
                _ => return Err(at(line, "no line of a story")),
            }
            continue;
        };
        let asked = words(command, |_| Ok(Vec::new())).map_err(|why| at(line, &why))?;
        if each {
            continue;
        }
        take_late(&mut expected, late, Some(client));
        if late.contains(&(client.to_owned(), true)) {
            return Err(at(line, "its client is parked"));
        }
        let reply = expected.pop_front().ok_or_else(|| at(line, "it has no reply below ----"))?;
        let own = reply.text.strip_prefix(&format!("{client}: "));
        let own = own.ok_or_else(|| at(line, &format!("its reply is not {:?}", reply.text)))?;
        let name = asked.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        if own == "parked" {
            late.insert((client.to_owned(), true));
        } else if super::subscribes(&name, &asked) {
            late.insert((client.to_owned(), false));
        }
    }
    take_late(&mut expected, late, None);
    match expected.front() {
        Some(line) if !each => Err(at(line, "it answers no command")),
        _ => Ok(()),
    }
}

fn take_late(expected: &mut VecDeque<&Line>, late: &mut BTreeSet<(String, bool)>, caller: Option<&str>) {
    while let Some((client, _)) = expected.front().and_then(|line| line.text.split_once(": ")) {
        let was_parked = late.remove(&(client.to_owned(), true));
        let listens = late.contains(&(client.to_owned(), false)) && caller != Some(client);
        if !was_parked && !listens {
            return;
        }
        expected.pop_front();
    }
}

fn at(line: &Line, why: &str) -> String {
    format!("line {}: {}: {why}", line.number, line.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(), String> {
        check(&super::super::read(text).unwrap()[0])
    }

    #[test]
    fn each_command_has_its_reply_and_late_ones_come_to_who_was_parked() {
        of("story s\na: X\nb: Y\na: Z\n----\na: 1\nb: parked\na: 2\nb: 3").unwrap();
        of("story s\na: X\nb: Y\n----\neach: OK").unwrap();
        of("story s\ns: SSUBSCRIBE k\na: X\n----\ns: ...\na: 1\ns: 2\ns: 3").unwrap();
        for (text, why) in [
            ("story s\na: X\n----\nb: 1", "line 2: a: X: its reply is not"),
            ("story s\na: X\na: Y\n----\na: 1", "line 3: a: Y: it has no reply"),
            ("story s\na: X\n----\na: 1\nb: 2", "line 5: b: 2: it answers no command"),
            ("story s\na: X\na: Y\n----\na: parked\na: 2\na: 3\na: 4", "line 8: a: 4: it answers no command"),
            ("story s\nsleep 5\n----\n", "line 2: sleep 5: no line of a story"),
            ("story s\na: X\n----\na: <tokens t>", "line 4: a: <tokens t>: <tokens t> is no placeholder"),
        ] {
            assert!(of(text).is_err_and(|error| error.starts_with(why)), "{text}: {:?}", of(text));
        }
    }
}
