//! What comes unasked: keyspace events, messages to listeners, client-side caching; and WATCH.

use corral_core::node::Word;
use corral_testkit::Reply;

use super::connection::{text, word};
use super::stage::NodeStage;
use crate::world::KeyEvent;

impl NodeStage {
    /// Tells what the world has noted since the last time.
    pub fn tell_signals(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            self.tell_event(&event);
        }
        for message in std::mem::take(&mut self.world.published) {
            let said = format!("{} {}", message.state.word(), message.number);
            for connection in self.connections.values_mut() {
                if connection.shard_channels.contains(&*message.name) {
                    let parts = vec![text("smessage"), text(&*message.name), text(&said)];
                    connection.replies.push_back(Reply::List(parts));
                }
            }
        }
        for place in std::mem::take(&mut self.world.signalled) {
            for connection in self.connections.values_mut() {
                connection.is_dirty |= connection.watched.contains(&place);
                // Once: who is told reads the key again to be told again.
                if connection.tracked.remove(&place) {
                    let names = Reply::List(vec![text(&place.1)]);
                    connection.replies.push_back(Reply::List(vec![word("invalidate"), names]));
                }
            }
        }
    }

    /// As `notify-keyspace-events` has it: to the event's channel (E), to the key's (K).
    fn tell_event(&mut self, event: &KeyEvent) {
        let (db, key) = &event.place;
        let name = event.word.text().to_bytes();
        let class = if event.word == Word::Delete { b'g' } else { b'd' };
        let has = |flag: u8| self.config.notified.contains(&flag);
        if !has(class) && !has(b'A') {
            return;
        }
        let by_key = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
        let by_event = [format!("__keyevent@{db}__:").as_bytes(), name].concat();
        let told = [(b'K', by_key, name), (b'E', by_event, key.as_slice())];
        for (_, channel, said) in told.iter().filter(|(flag, ..)| has(*flag)) {
            for connection in self.connections.values_mut() {
                if connection.channels.contains(channel) {
                    let parts = vec![text("message"), text(channel), text(said)];
                    connection.replies.push_back(Reply::List(parts));
                }
            }
        }
    }
}
