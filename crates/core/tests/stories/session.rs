//! What a connection says of itself: database, protocol, transactions, subscriptions; and CLIENT PAUSE and DEBUG SLEEP.

use corral_core::error::Error;
use corral_core::node::Parking;
use corral_testkit::Reply;

use super::commands::{checked, said, Call};
use super::connection::{number, ok, text, word, Transaction};
use super::stage::{NodeStage, Pause};

type Answered = Result<Option<Reply>, Error>;

pub fn ping(_stage: &mut NodeStage, _call: Call) -> Answered {
    Ok(Some(word("PONG")))
}

pub fn hello(stage: &mut NodeStage, call: Call) -> Answered {
    let is_resp3 = match call.arguments[0] {
        b"2" => false,
        b"3" => true,
        _ => return Err(said("NOPROTO unsupported protocol version")),
    };
    stage.connection(call.client).is_resp3 = is_resp3;
    let (proto, id) = (number(2 + u64::from(is_resp3)), number(call.client));
    Ok(Some(Call { is_resp3, ..call }.map(vec![("proto", proto), ("id", id), ("role", text("master"))])))
}

pub fn select(stage: &mut NodeStage, call: Call) -> Answered {
    stage.connection(call.client).db = database(call.arguments[0])?;
    Ok(Some(ok()))
}

/// As many as a server has unless it is told otherwise.
pub fn database(word: &[u8]) -> Result<u32, Error> {
    let number = integer(word)?;
    u32::try_from(number).ok().filter(|db| *db < 16).ok_or_else(|| said("ERR DB index is out of range"))
}

pub fn integer(word: &[u8]) -> Result<i64, Error> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| said("ERR value is not an integer or out of range"))
}

pub fn client(stage: &mut NodeStage, call: Call) -> Answered {
    let arguments: Vec<Vec<u8>> = call.arguments.iter().map(|word| word.to_ascii_uppercase()).collect();
    match arguments.iter().map(Vec::as_slice).collect::<Vec<_>>().as_slice() {
        [b"ID"] => return Ok(Some(number(call.client))),
        [b"PAUSE", ms] => pause(stage, ms, true)?,
        [b"PAUSE", ms, b"ALL"] => pause(stage, ms, true)?,
        [b"PAUSE", ms, b"WRITE"] => pause(stage, ms, false)?,
        [b"UNPAUSE"] => stage.end_pause(),
        [b"TRACKING", b"ON"] if stage.connection(call.client).is_resp3 => {
            stage.connection(call.client).is_tracking = true;
        }
        [b"TRACKING", b"OFF"] => {
            let connection = stage.connection(call.client);
            (connection.is_tracking, connection.tracked) = (false, Default::default());
        }
        _ => return Err(said("ERR this stage knows CLIENT ID, PAUSE, UNPAUSE, and TRACKING in RESP3 alone")),
    }
    Ok(Some(ok()))
}

/// The module is not told of a pause: it sees one when it next looks.
fn pause(stage: &mut NodeStage, ms: &[u8], holds_all: bool) -> Result<(), Error> {
    let ms = u64::try_from(integer(ms)?).map_err(|_| said("ERR timeout is negative"))?;
    stage.pause = Some(Pause { until_us: stage.world.steady_us + ms * 1000, holds_all });
    stage.world.is_paused = true;
    Ok(())
}

/// DEBUG SLEEP: time passes, and nobody does anything.
pub fn debug(stage: &mut NodeStage, call: Call) -> Answered {
    let seconds = std::str::from_utf8(call.arguments[1]).ok().and_then(|text| text.parse::<f64>().ok());
    match seconds {
        Some(seconds) if call.arguments[0].eq_ignore_ascii_case(b"SLEEP") => {
            let us = (seconds * 1e6) as u64;
            stage.world.move_clocks(us);
            stage.world.busy_ms += us / 1000;
            Ok(Some(ok()))
        }
        _ => Err(said("ERR this stage knows DEBUG SLEEP alone")),
    }
}

pub fn multi(stage: &mut NodeStage, call: Call) -> Answered {
    let connection = stage.connection(call.client);
    if connection.transaction.is_some() {
        return Err(said("ERR MULTI calls can not be nested"));
    }
    connection.transaction = Some(Transaction::default());
    Ok(Some(ok()))
}

pub fn discard(stage: &mut NodeStage, call: Call) -> Answered {
    let connection = stage.connection(call.client);
    connection.unwatch();
    connection.transaction.take().ok_or_else(|| said("ERR DISCARD without MULTI"))?;
    Ok(Some(ok()))
}

/// Nothing in it may block.
pub fn exec(stage: &mut NodeStage, call: Call) -> Answered {
    let connection = stage.connection(call.client);
    let transaction = connection.transaction.take().ok_or_else(|| said("ERR EXEC without MULTI"))?;
    let is_dirty = connection.is_dirty;
    connection.unwatch();
    if transaction.is_broken {
        return Err(said("EXECABORT Transaction discarded because of previous errors."));
    }
    if is_dirty {
        return Ok(Some(Reply::Nil));
    }
    stage.world.server.parking = Parking::Denied;
    let mut replies = Vec::new();
    for words in &transaction.queued {
        let reply = match checked(stage, words) {
            Ok(command) => stage.answer(command, call.client, words, true).expect("nothing blocks in a transaction"),
            Err(error) => Reply::Error(error.sentence()),
        };
        replies.push(reply);
    }
    stage.world.server.parking = stage.config.parking();
    Ok(Some(Reply::List(replies)))
}

pub fn watch(stage: &mut NodeStage, call: Call) -> Answered {
    let connection = stage.connection(call.client);
    if connection.transaction.is_some() {
        return Err(said("ERR WATCH inside MULTI is not allowed"));
    }
    connection.watched.extend(call.places());
    Ok(Some(ok()))
}

pub fn subscribe(stage: &mut NodeStage, call: Call) -> Answered {
    listen(stage, call, "subscribe", |connection| &mut connection.channels)
}

pub fn subscribe_shard(stage: &mut NodeStage, call: Call) -> Answered {
    listen(stage, call, "ssubscribe", |connection| &mut connection.shard_channels)
}

type Channels = std::collections::BTreeSet<Vec<u8>>;

/// A reply for each channel; the last is the command's own.
fn listen(
    stage: &mut NodeStage,
    call: Call,
    kind: &str,
    of: impl Fn(&mut super::connection::Connection) -> &mut Channels,
) -> Answered {
    let connection = stage.connection(call.client);
    let mut replies = Vec::new();
    for channel in call.arguments {
        let channels = of(connection);
        channels.insert(channel.to_vec());
        replies.push(Reply::List(vec![text(kind), text(channel), number(channels.len() as u64)]));
    }
    let last = replies.pop();
    connection.replies.extend(replies);
    Ok(last)
}
