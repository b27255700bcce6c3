//! Redis's own commands on keys, as far as stories use them.

use corral_core::error::Error;
use corral_core::time::UnixMs;
use corral_testkit::Reply;

use super::commands::{said, Call};
use super::connection::{number, ok, text, word};
use super::session::{database, integer};
use super::stage::NodeStage;
use crate::world::{Place, Stored, Value};

type Answered = Result<Option<Reply>, Error>;

/// What a key holds, once the server has removed what has expired.
fn held<'a>(stage: &'a mut NodeStage, place: &Place) -> Option<&'a mut Stored> {
    stage.world.expire(place);
    stage.world.keys.get_mut(place)
}

/// WATCH and client-side caching are told.
fn changed(stage: &mut NodeStage, place: &Place) {
    stage.world.signalled.insert(place.clone());
}

pub fn get(stage: &mut NodeStage, call: Call) -> Answered {
    match held(stage, &call.place()).map(|stored| &stored.value) {
        None => Ok(Some(Reply::Nil)),
        Some(Value::Text(string)) => Ok(Some(text(string))),
        Some(_) => Err(Error::WrongType),
    }
}

/// `SET key value [PX ms | EX s]`
pub fn set(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    let options: Vec<Vec<u8>> = call.arguments[2..].iter().map(|word| word.to_ascii_uppercase()).collect();
    let in_ms = match options.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
        [] => None,
        [b"PX", ms] => Some(integer(ms)?),
        [b"EX", seconds] => Some(integer(seconds)? * 1000),
        _ => return Err(said("ERR this stage knows SET with PX and EX alone")),
    };
    let in_ms = in_ms.map(|ms| u64::try_from(ms).ok().filter(|ms| *ms > 0).ok_or(())).transpose();
    let in_ms = in_ms.map_err(|()| said("ERR invalid expire time in 'set' command"))?;
    stage.world.set_string_at(&place, call.arguments[1]);
    stage.world.set_expiry_at(&place, in_ms);
    changed(stage, &place);
    Ok(Some(ok()))
}

pub fn push(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    let before = match held(stage, &place).map(|stored| &stored.value) {
        None => 0,
        Some(Value::List(length)) => *length,
        Some(_) => return Err(Error::WrongType),
    };
    let length = before + call.arguments.len() - 1;
    let expires = held(stage, &place).map_or(UnixMs::NEVER, |stored| stored.expires);
    stage.world.keys.insert(place.clone(), Stored { value: Value::List(length), expires });
    changed(stage, &place);
    Ok(Some(number(length as u64)))
}

pub fn delete(stage: &mut NodeStage, call: Call) -> Answered {
    let mut deleted = 0;
    for place in call.places() {
        if held(stage, &place).is_some() {
            remove(stage, &place);
            deleted += 1;
        }
    }
    Ok(Some(number(deleted)))
}

fn remove(stage: &mut NodeStage, place: &Place) {
    stage.world.del_at(place);
    changed(stage, place);
}

pub fn exists(stage: &mut NodeStage, call: Call) -> Answered {
    let there = call.places().filter(|place| held(stage, place).is_some());
    Ok(Some(number(there.count() as u64)))
}

pub fn type_of(stage: &mut NodeStage, call: Call) -> Answered {
    Ok(Some(word(match held(stage, &call.place()).map(|stored| &stored.value) {
        None => "none",
        Some(Value::Entry(_)) => "corralkey",
        Some(Value::Text(_)) => "string",
        Some(Value::List(_)) => "list",
    })))
}

pub fn time_to_live(stage: &mut NodeStage, call: Call) -> Answered {
    let now = stage.world.now();
    Ok(Some(match held(stage, &call.place()).map(|stored| stored.expires) {
        None => Reply::Number(-2),
        Some(UnixMs::NEVER) => Reply::Number(-1),
        Some(expires) => number(now.until(expires)),
    }))
}

/// What has passed already goes at once.
pub fn expire(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    let in_ms = integer(call.arguments[1])?;
    if held(stage, &place).is_none() {
        return Ok(Some(number(0)));
    }
    match u64::try_from(in_ms).ok().filter(|ms| *ms > 0) {
        None => remove(stage, &place),
        in_ms => stage.world.set_expiry_at(&place, in_ms),
    }
    changed(stage, &place);
    Ok(Some(number(1)))
}

pub fn persist(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    if held(stage, &place).is_none_or(|stored| stored.expires.is_never()) {
        return Ok(Some(number(0)));
    }
    stage.world.set_expiry_at(&place, None);
    changed(stage, &place);
    Ok(Some(number(1)))
}

pub fn rename(stage: &mut NodeStage, call: Call) -> Answered {
    let (from, to) = (call.place(), (call.db, call.arguments[1].to_vec()));
    if held(stage, &from).is_none() {
        return Err(said("ERR no such key"));
    }
    if from != to {
        relocate(stage, &from, &to);
    }
    Ok(Some(ok()))
}

pub fn move_to_database(stage: &mut NodeStage, call: Call) -> Answered {
    let (from, db) = (call.place(), database(call.arguments[1])?);
    let to = (db, from.1.clone());
    if from == to {
        return Err(said("ERR source and destination objects are the same"));
    }
    if held(stage, &from).is_none() || held(stage, &to).is_some() {
        return Ok(Some(number(0)));
    }
    relocate(stage, &from, &to);
    Ok(Some(number(1)))
}

fn relocate(stage: &mut NodeStage, from: &Place, to: &Place) {
    stage.world.move_to(from, to);
    changed(stage, from);
    changed(stage, to);
}

pub fn flush_all(stage: &mut NodeStage, _call: Call) -> Answered {
    let all: Vec<Place> = stage.world.keys.keys().cloned().collect();
    stage.world.flush_all();
    stage.world.signalled.extend(all);
    Ok(Some(ok()))
}

pub fn swap(stage: &mut NodeStage, call: Call) -> Answered {
    let (first, second) = (database(call.arguments[0])?, database(call.arguments[1])?);
    stage.world.swap(first, second);
    let is_of_these = |place: &&Place| place.0 == first || place.0 == second;
    let all: Vec<Place> = stage.world.keys.keys().filter(is_of_these).cloned().collect();
    stage.world.signalled.extend(all);
    Ok(Some(ok()))
}
