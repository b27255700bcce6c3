//! A real server, in real time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Stage;
use crate::{now_ms, Client, Reply, Server};

pub struct ServerStage {
    server: Server,
    clients: BTreeMap<String, Client>,
    /// Looks at the others.
    observer: Client,
    /// CONFIG SET, and every setting of ours as it was at first.
    defaults: Vec<Vec<u8>>,
    /// Commands and options that CACHE.VERSION lists; none if it is not known.
    offers: BTreeSet<String>,
    /// Groups were set: a lease that was voided keeps its permit, so a flush does not begin anew.
    has_groups: bool,
}

impl ServerStage {
    /// A server of its own, with the module.
    pub fn start() -> Self {
        let server = Server::start();
        let mut observer = server.client();
        let mut defaults: Vec<Vec<u8>> = vec![b"CONFIG".to_vec(), b"SET".to_vec()];
        defaults.extend(texts(&observer.run("CONFIG GET corral.*")).into_iter().map(String::into_bytes));
        assert!(defaults.len() > 2, "CONFIG GET knows no settings");
        // And what stories change of the server's own.
        let own = [("notify-keyspace-events", ""), ("min-replicas-to-write", "0"), ("maxmemory", "0")];
        defaults.extend(own.iter().flat_map(|(name, value)| [name.as_bytes().to_vec(), value.as_bytes().to_vec()]));
        let offers = match observer.run("CACHE.VERSION") {
            Reply::Error(_) => BTreeSet::new(),
            version => texts(&version).into_iter().map(|text| text.to_lowercase()).collect(),
        };
        Self { server, clients: BTreeMap::new(), observer, defaults, offers, has_groups: false }
    }

    fn client(&mut self, name: &str) -> &mut Client {
        self.clients.entry(name.to_owned()).or_insert_with(|| {
            let mut client = self.server.client();
            // Asked now: who has subscribed cannot ask any more.
            client.id();
            client
        })
    }
}

impl Stage for ServerStage {
    fn begin(&mut self) {
        if self.has_groups {
            *self = Self::start();
            return;
        }
        for (_, client) in std::mem::take(&mut self.clients) {
            client.hang_up();
        }
        assert!(self.observer.run("CLIENT UNPAUSE").is_ok());
        let words: Vec<&[u8]> = self.defaults.iter().map(Vec::as_slice).collect();
        assert!(self.observer.call(&words).is_ok(), "the settings cannot be put back");
        assert!(self.observer.run("FLUSHALL").is_ok());
    }

    fn offers(&mut self, need: &str) -> bool {
        need == "scripts" || self.offers.contains(need)
    }

    fn send(&mut self, client: &str, words: &[Vec<u8>]) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.has_groups |= words.contains(&b"corral.groups".as_slice());
        self.client(client).send_bytes(&words);
    }

    fn reply(&mut self, client: &str) -> Option<Reply> {
        let client = self.client(client);
        let started = Instant::now();
        while !client.has_reply() {
            if started.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(client.read())
    }

    fn has_reply(&mut self, client: &str) -> bool {
        self.client(client).has_reply()
    }

    fn is_parked(&mut self, client: &str) -> bool {
        let id = self.client(client).id();
        let started = Instant::now();
        while started.elapsed() < PATIENCE && !self.client(client).has_reply() {
            // The flag of a client in a blocking call.
            let listed = self.observer.run(&format!("CLIENT LIST ID {id}")).text();
            if listed.split(' ').any(|field| field.strip_prefix("flags=").is_some_and(|flags| flags.contains('b'))) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn hang_up(&mut self, client: &str) {
        let Some(mut client) = self.clients.remove(client) else { return };
        let id = client.id();
        client.hang_up();
        crate::eventually("the server has seen that the client is gone", || {
            self.observer.run(&format!("CLIENT LIST ID {id}")).text().trim().is_empty()
        });
    }

    fn advance_ms(&mut self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }
}

/// All texts in a reply, however deep.
fn texts(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::List(parts) => parts.iter().flat_map(texts).collect(),
        Reply::Map(pairs) => pairs.iter().flat_map(|(name, value)| [texts(name), texts(value)].concat()).collect(),
        Reply::Text(_) | Reply::Word(_) => vec![reply.text()],
        _ => Vec::new(),
    }
}

/// For one reply. Valgrind is slow; what does not come is never waited for by a story that goes as it is told.
const PATIENCE: Duration = Duration::from_secs(20);
