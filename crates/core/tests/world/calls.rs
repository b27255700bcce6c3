//! The commands, as a client sends them: options as text, replies as lines.

use std::sync::Arc;

use corral_core::answer::Answer;
use corral_core::error::Error;
use corral_core::node::{Caller, Form, Key, Node, Reply, Step};
use corral_core::request::{only_option, Labelled, Labels, Options};
use corral_core::token::Token;

use super::{line, place, reply_line, Client, Parked, Place, Value, World};

fn words(text: &str) -> impl Iterator<Item = &[u8]> {
    text.split_whitespace().map(str::as_bytes)
}

impl World {
    /// GETORLOCK in database 0.
    pub fn ask(&mut self, client: Client, key: &str, options: &str) -> String {
        self.ask_at(client, &place(key), options)
    }

    pub fn ask_at(&mut self, client: Client, place: &Place, options: &str) -> String {
        self.ask_as(client, place, options, Form::Single)
    }

    pub fn ask_as(&mut self, client: Client, place: &Place, options: &str, form: Form) -> String {
        let lease_max_ms = self.node.settings.lease_max_ms;
        let options = Options::parse(words(options), form == Form::Single, lease_max_ms).unwrap();
        reply_line(&self.request(client, place, &options, form))
    }

    /// GETORLOCK or an element of its batch form, as it was read.
    pub fn request(&mut self, client: Client, place: &Place, options: &Options, form: Form) -> Reply {
        let reply = self.step(place, |node, key| node.get_or_lock(key, options, Caller { client }, form));
        match &reply {
            Reply::Park { waiter, .. } => {
                let group = options.group.unwrap_or(corral_core::policy::DEFAULT);
                let by_policy = self.policies.get(group).and_then(|policy| policy.block_ms);
                let block_ms = options.block_ms.or(by_policy).unwrap();
                let parked = Parked { client, place: place.clone(), since_us: self.steady_us, block_ms };
                assert!(self.parked.insert(*waiter, parked).is_none());
                self.server.clients.insert(*waiter, client);
            }
            Reply::Answer(answer) => {
                if let Some(token) = answer.granted() {
                    self.tokens.insert((client, place.clone()), token);
                }
            }
            _ => {}
        }
        reply
    }

    /// The token that a client was granted last for a key.
    pub fn token(&self, client: Client, key: &str) -> Token {
        self.tokens[&(client, place(key))]
    }

    /// FILL by the client's token.
    pub fn fill(&mut self, client: Client, key: &str, value: &str, options: &str) -> String {
        let token = self.token(client, key);
        self.fill_with(token, &place(key), value, options)
    }

    pub fn fill_with(&mut self, token: Token, place: &Place, value: &str, options: &str) -> String {
        let labels = Labels::parse(words(options), Labelled::Fill).unwrap();
        reply_line(&self.step(place, |node, key| node.fill(key, token, value.as_bytes(), &labels)))
    }

    pub fn touch(&mut self, client: Client, key: &str, options: &str) -> String {
        let token = self.token(client, key);
        self.touch_with(token, &place(key), options)
    }

    pub fn touch_with(&mut self, token: Token, place: &Place, options: &str) -> String {
        let labels = Labels::parse(words(options), Labelled::Fill).unwrap();
        reply_line(&self.step(place, |node, key| node.touch(key, token, &labels)))
    }

    pub fn fail(&mut self, client: Client, key: &str, message: &str, backoff_ms: Option<u64>) -> String {
        let token = self.token(client, key);
        reply_line(&self.step(&place(key), |node, key| node.fail(key, token, message.as_bytes(), backoff_ms)))
    }

    /// PASS: the command, not time.
    pub fn pass_on(&mut self, client: Client, key: &str, pass_ms: Option<u64>) -> String {
        let token = self.token(client, key);
        reply_line(&self.step(&place(key), |node, key| node.pass(key, token, pass_ms)))
    }

    pub fn release_lease(&mut self, client: Client, key: &str) -> String {
        let token = self.token(client, key);
        reply_line(&self.step(&place(key), |node, key| node.release(key, token)))
    }

    pub fn renew(&mut self, client: Client, key: &str, ms: u64, tied_to: Option<Client>) -> String {
        let token = self.token(client, key);
        reply_line(&self.step(&place(key), |node, key| renewed(node, key, token, ms, tied_to)))
    }

    pub fn fail_with(&mut self, token: Token, place: &Place, message: &str) -> String {
        reply_line(&self.step(place, |node, key| node.fail(key, token, message.as_bytes(), None)))
    }

    pub fn pass_with(&mut self, token: Token, place: &Place) -> String {
        reply_line(&self.step(place, |node, key| node.pass(key, token, None)))
    }

    pub fn release_with(&mut self, token: Token, place: &Place) -> String {
        reply_line(&self.step(place, |node, key| node.release(key, token)))
    }

    pub fn renew_with(&mut self, token: Token, place: &Place, ms: u64, tied_to: Option<Client>) -> String {
        reply_line(&self.step(place, |node, key| renewed(node, key, token, ms, tied_to)))
    }

    pub fn set(&mut self, key: &str, value: &str, options: &str) -> String {
        self.set_at(&place(key), value, options)
    }

    pub fn set_at(&mut self, place: &Place, value: &str, options: &str) -> String {
        let labels = Labels::parse(words(options), Labelled::Set).unwrap();
        reply_line(&self.step(place, |node, key| node.set(key, value.as_bytes(), &labels)))
    }

    pub fn invalidate(&mut self, key: &str) -> String {
        self.invalidate_at(&place(key))
    }

    pub fn invalidate_at(&mut self, place: &Place) -> String {
        reply_line(&self.step(place, |node, key| node.invalidate(key)))
    }

    pub fn outdate(&mut self, key: &str, version: u64, options: &str) -> String {
        self.outdate_at(&place(key), version, options)
    }

    pub fn outdate_at(&mut self, place: &Place, version: u64, options: &str) -> String {
        let floor_ms = only_option(words(options), &corral_core::options::OUTDATE).unwrap();
        reply_line(&self.step(place, |node, key| node.outdate(key, version, floor_ms)))
    }

    /// INVALIDATETAG.
    pub fn mark(&mut self, tags: &[&str], swr_ms: Option<u64>) {
        let tags: Vec<&[u8]> = tags.iter().map(|tag| tag.as_bytes()).collect();
        self.mark_tags(&tags, swr_ms);
    }

    pub fn mark_tags(&mut self, tags: &[&[u8]], swr_ms: Option<u64>) {
        let moment = self.moment();
        let record = self.node.invalidate_tags(tags, swr_ms, moment).unwrap();
        self.replicate_marks(&record);
        self.replicate_floor();
    }

    /// CACHE.GET.
    pub fn get(&mut self, key: &str) -> String {
        let place = place(key);
        match (self.peek(&place), self.keys.get(&place).map(|stored| &stored.value)) {
            (Ok(answer), Some(Value::Text(text))) => {
                format!("{} {} {}", answer.state().word(), super::text(text), answer.number())
            }
            (Ok(answer), _) => line(&answer),
            (Err(error), _) => error.sentence(),
        }
    }

    pub fn peek(&mut self, place: &Place) -> Result<Answer, Error> {
        self.expire(place);
        let now = self.now();
        let Some(stored) = self.keys.get(place) else { return Ok(Answer::Miss { lease_left_ms: 0 }) };
        match &stored.value {
            Value::Entry(entry) => Ok(self.node.peek(place.0, entry, now)),
            Value::Text(_) => Ok(Answer::hit_of_string(stored.expires, now)),
            Value::List(_) => Err(Error::WrongType),
        }
    }

    pub fn lease_of(&self, place: &Place) -> Option<&corral_core::lease::Lease> {
        match self.keys.get(place).map(|stored| &stored.value) {
            Some(Value::Entry(entry)) => entry.lease(),
            _ => None,
        }
    }

    /// The value of a key as it is kept.
    pub fn kept(&self, key: &str) -> Option<Arc<[u8]>> {
        self.entry(key)?.value().cloned()
    }
}

/// By whom it is renewed matters only where the table has forgotten the holder.
fn renewed(node: &mut Node, key: &mut Key, token: Token, ms: u64, tied_to: Option<Client>) -> Step {
    node.renew(key, token, ms, Caller { client: tied_to.unwrap_or(0) }, tied_to.is_some())
}
