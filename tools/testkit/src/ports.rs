//! Ports for servers, below those that the system gives to outgoing connections (32768 on Linux): among thousands of
//! clients, one of them would sooner or later come from the very port that a server is about to take, and a client that
//! knocks at a free port of that range can even find itself there. So never port 0.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const PORTS: RangeInclusive<u16> = 10_000..=29_999;

/// A port that was free a moment ago. Another process may take it before a server does: [`crate::Launch`] then tries the
/// next.
pub fn free_port() -> Result<u16> {
    // This process never tries the same one twice in a row; other processes begin elsewhere.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7919);
    let candidates = std::iter::repeat_with(|| {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start() + (step % u32::from(PORTS.end() - PORTS.start())) as u16
    });
    let mut free = candidates.take(PORTS.len()).filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().with_context(|| format!("no port of 127.0.0.1 is free, from {} to {}", PORTS.start(), PORTS.end()))
}
