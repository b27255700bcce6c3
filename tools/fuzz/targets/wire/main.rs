//! Whole sessions against a real server: several connections, commands with odd arguments, raw garbage, connections
//! that are cut off. After each session the server answers PING, no panic was caught, and nobody is left parked.
//!
//! `CORRAL_MODULE` and `CORRAL_SERVER` name another module file or another server.

#![no_main]

mod server;
mod session;

use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;

use server::Server;
use session::Session;

fuzz_target!(|session: Session| {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    let mut server = SERVER.get_or_init(|| Mutex::new(Server::start())).lock().unwrap();
    session.run(&mut server);
    server.must_be_well();
});
