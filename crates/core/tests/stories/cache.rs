//! The module's commands: arguments read by the core's own parsing, the node asked, its reply written.

use corral_core::answer::Answer;
use corral_core::error::Error;
use corral_core::node::{Reply as Told, Word};
use corral_core::options::{self, MS};
use corral_core::request::{
    self, invalidate_tag as read_tags, message, only_flag, only_option, tag_name, Caller, Form, Labelled, Labels,
    Options, Request,
};
use corral_core::time::MAX_MS;
use corral_core::words::{number as read_number, token};
use corral_testkit::Reply;

use super::commands::Call;
use super::connection::{number, ok, text};
use super::stage::NodeStage;
use crate::world::{KeyEvent, Place, Value};

type Answered = Result<Option<Reply>, Error>;

/// `[state, value, number]`. `string`: what the key holds, where the value is that.
pub fn triple(answer: &Answer, string: Option<&[u8]>) -> Reply {
    let value = if answer.has_string() { string } else { answer.payload() };
    Reply::List(vec![text(answer.state().word()), value.map_or(Reply::Nil, text), Reply::Number(answer.number())])
}

/// What the node has a caller told.
fn told(stage: &NodeStage, told: Told, place: &Place) -> Answered {
    Ok(Some(match told {
        Told::Answer(answer) => answered(stage, &answer, place),
        Told::Park { .. } => return Ok(None),
        Told::Ok => ok(),
        Told::Nil | Told::Nothing => Reply::Nil,
        Told::Number(count) => number(count),
        Told::Error(error) => return Err(error),
    }))
}

fn answered(stage: &NodeStage, answer: &Answer, place: &Place) -> Reply {
    match stage.world.keys.get(place).map(|stored| &stored.value) {
        Some(Value::Text(string)) => triple(answer, Some(string)),
        _ => triple(answer, None),
    }
}

/// A call on one key.
fn step(stage: &mut NodeStage, call: &Call, request: &Request) -> Answered {
    let place = call.place();
    let reply = stage.world.step(&place, |node, key| node.request(key, request));
    told(stage, reply, &place)
}

fn options_from<'a>(call: &Call<'a>, first: usize) -> impl Iterator<Item = &'a [u8]> {
    call.arguments[first..].iter().copied()
}

pub fn get_or_lock(stage: &mut NodeStage, call: Call) -> Answered {
    let options = Options::parse(options_from(&call, 1), true, stage.world.node.settings.lease_max_ms)?;
    check(&call, &options)?;
    let place = call.place();
    let reply = ask(stage, &call, &place, &options, Form::Single);
    told(stage, reply, &place)
}

pub fn mget_or_lock(stage: &mut NodeStage, call: Call) -> Answered {
    let given = read_number(call.arguments[0], "numkeys", 1..=i32::MAX as u64, "")?;
    let found = call.arguments.len() - 1;
    let count = usize::try_from(given).unwrap();
    if count > found {
        return Err(Error::Count { name: "numkeys", of: "keys", given, found });
    }
    let options = Options::parse(options_from(&call, 1 + count), false, stage.world.node.settings.lease_max_ms)?;
    check(&call, &options)?;
    let places: Vec<Place> = call.arguments[1..=count].iter().map(|name| (call.db, name.to_vec())).collect();
    for place in &places {
        stage.world.expire(place);
        if matches!(stage.world.keys.get(place).map(|stored| &stored.value), Some(Value::List(_))) {
            return Err(Error::WrongType);
        }
    }
    let mut elements = Vec::new();
    for place in &places {
        let reply = match ask(stage, &call, place, &options, Form::Batch) {
            Told::Answer(answer) => answered(stage, &answer, place),
            Told::Error(error) => return Err(error),
            other => panic!("an element is answered at once: {other:?}"),
        };
        elements.push(reply);
    }
    Ok(Some(Reply::List(elements)))
}

/// What a call is refused for even where it would be a hit.
fn check(call: &Call, options: &Options) -> Result<(), Error> {
    match (options.is_tied && call.client == 0, options.notify && call.db != 0) {
        (true, _) => Err(Error::TiedWithoutConnection),
        (_, true) => Err(Error::NotifyDatabase),
        _ => Ok(()),
    }
}

/// A plain hit is served where it lies, as the module does; all else is the node's.
fn ask(stage: &mut NodeStage, call: &Call, place: &Place, options: &Options, form: Form) -> Told {
    stage.world.expire(place);
    match hit(stage, place, options) {
        Some(answer) => {
            stage.world.node.counters.hits += 1;
            Told::Answer(answer)
        }
        None => stage.world.request(call.client, place, options, form),
    }
}

fn hit(stage: &NodeStage, place: &Place, options: &Options) -> Option<Answer> {
    let node = &stage.world.node;
    if options.class.force || options.early_beta.unwrap_or(node.settings.early_beta) > 0.0 {
        return None;
    }
    let Value::Entry(entry) = &stage.world.keys.get(place)?.value else { return None };
    let now = stage.world.now();
    if !entry.is_plainly_fresh(now) || entry.tagged().is_some_and(|tagged| tagged.is_marked(node.tag_floor())) {
        return None;
    }
    Some(Answer::hit(entry.value()?.clone(), entry.fresh_until(), now))
}

pub fn fill(stage: &mut NodeStage, call: Call) -> Answered {
    let (token, value) = (token(call.arguments[1])?, call.arguments[2]);
    let labels = Labels::parse(options_from(&call, 3), Labelled::Fill)?;
    step(stage, &call, &Request::Fill { token, value, labels })
}

pub fn touch(stage: &mut NodeStage, call: Call) -> Answered {
    let token = token(call.arguments[1])?;
    let labels = Labels::parse(options_from(&call, 2), Labelled::Fill)?;
    step(stage, &call, &Request::Touch { token, labels })
}

pub fn fail(stage: &mut NodeStage, call: Call) -> Answered {
    let (token, message) = (token(call.arguments[1])?, message(call.arguments[2])?);
    let backoff_ms = only_option(options_from(&call, 3), &options::FAIL)?;
    step(stage, &call, &Request::Fail { token, message, backoff_ms })
}

pub fn pass(stage: &mut NodeStage, call: Call) -> Answered {
    let token = token(call.arguments[1])?;
    let pass_ms = only_option(options_from(&call, 2), &options::PASS)?;
    step(stage, &call, &Request::Pass { token, pass_ms })
}

pub fn release(stage: &mut NodeStage, call: Call) -> Answered {
    let token = token(call.arguments[1])?;
    step(stage, &call, &Request::Release { token })
}

pub fn renew(stage: &mut NodeStage, call: Call) -> Answered {
    let token = token(call.arguments[1])?;
    let ms = read_number(call.arguments[2], "ms", 1..=MAX_MS, MS)?;
    let is_tied = only_flag(options_from(&call, 3), &options::RENEW)?;
    let caller = Caller { client: call.client };
    step(stage, &call, &Request::Renew { token, ms, caller, is_tied })
}

pub fn set(stage: &mut NodeStage, call: Call) -> Answered {
    let labels = Labels::parse(options_from(&call, 2), Labelled::Set)?;
    step(stage, &call, &Request::Set { value: call.arguments[1], labels })
}

pub fn outdate(stage: &mut NodeStage, call: Call) -> Answered {
    let version = request::version(call.arguments[1])?;
    let floor_ms = only_option(options_from(&call, 2), &options::OUTDATE)?;
    step(stage, &call, &Request::Outdate { version, floor_ms })
}

pub fn get(stage: &mut NodeStage, call: Call) -> Answered {
    let place = call.place();
    let answer = stage.world.peek(&place)?;
    Ok(Some(answered(stage, &answer, &place)))
}

pub fn mget(stage: &mut NodeStage, call: Call) -> Answered {
    let answers = call.places().map(|place| {
        let answer = stage.world.peek(&place)?;
        Ok(answered(stage, &answer, &place))
    });
    Ok(Some(Reply::List(answers.collect::<Result<_, Error>>()?)))
}

pub fn invalidate(stage: &mut NodeStage, call: Call) -> Answered {
    let held = call.places().filter(|place| {
        stage.world.step(place, |node, key| node.request(key, &Request::Invalidate)) == Told::Number(1)
    });
    Ok(Some(number(held.count() as u64)))
}

pub fn invalidate_tag(stage: &mut NodeStage, call: Call) -> Answered {
    let (tags, swr_ms) = read_tags(call.arguments)?;
    stage.world.mark_tags(&tags, swr_ms);
    let event = |tag: &&[u8]| KeyEvent { word: Word::InvalidateTag, place: (call.db, tag.to_vec()) };
    stage.world.events.extend(tags.iter().map(event));
    Ok(Some(ok()))
}

pub fn tags(stage: &mut NodeStage, call: Call) -> Answered {
    let tags: Vec<&[u8]> = options_from(&call, 0).map(tag_name).collect::<Result<_, Error>>()?;
    let moments = tags.into_iter().map(|tag| number(stage.world.node.tag_moment(tag)));
    Ok(Some(Reply::List(moments.collect())))
}

/// From a client it is refused, whatever it says.
pub fn apply(_stage: &mut NodeStage, _call: Call) -> Answered {
    Err(Error::InternalCommand)
}

pub fn probe(_stage: &mut NodeStage, _call: Call) -> Answered {
    Ok(Some(ok()))
}
