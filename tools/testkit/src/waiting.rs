//! Waiting for conditions, with a deadline.

use std::time::{Duration, Instant};

use crate::{Client, Triple};

/// How long a test waits for what must happen. Generous: the machines are shared, valgrind is slow, and no test is about
/// speed.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends everybody's ask before reading any answer, and takes the answers as they come in, whoever is parked.
/// Everybody is answered, or this panics.
pub fn ask_together(clients: &mut [Client], line: &str, mut take: impl FnMut(&mut Client, Triple)) {
    clients.iter_mut().for_each(|client| client.send(line));
    let mut open: Vec<&mut Client> = clients.iter_mut().collect();
    eventually("everybody is answered", || {
        open.retain_mut(|client| {
            let answered = client.has_reply();
            if answered {
                let answer = client.read().triple();
                take(client, answer);
            }
            !answered
        });
        open.is_empty()
    });
}

/// Milliseconds since the epoch, as the server on the same machine has them.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
