//! One round: everybody waits, one sends, and the time of each reply is taken.

use std::cell::Cell;
use std::future::Future;
use std::time::Instant;

use anyhow::{bail, Result};
use futures_util::future::join;

use super::VALUE;
use crate::bench::bystander::Bystander;
use crate::facts::{parked, processor};
use crate::sample::Sample;
use crate::server::Server;
use crate::wire::{command, line, Connection};

/// The clients, who wait now in one way and now in the other.
pub(super) struct Flock {
    pub(super) asker: Connection,
    sender: Connection,
    waiters: Vec<Connection>,
    bystander: Bystander,
    token: i64,
}

pub(super) struct Round {
    /// Seconds from the command to each reply.
    pub(super) replies: Sample,
    pub(super) longest_ping: f64,
    pub(super) processor: f64,
}

impl Flock {
    pub(super) async fn connect(server: &Server, waiters: usize) -> Result<Self> {
        Ok(Self {
            asker: server.connect().await?,
            sender: server.connect().await?,
            waiters: server.connect_all(waiters).await?,
            bystander: Bystander::begin(server.port)?,
            token: 0,
        })
    }

    pub(super) async fn park(&mut self) -> Result<()> {
        self.sender.call(&line("DEL fanout")).await?;
        let reply = self.sender.call(&line("CACHE.GETORLOCK fanout LEASE 300000")).await?;
        let (b"LOCK", token) = reply.state()? else { bail!("the holder was answered {}", reply.text()) };
        self.token = token;
        let ask = line("CACHE.GETORLOCK fanout BLOCK 0");
        for waiter in &mut self.waiters {
            waiter.write(&ask).await?;
        }
        parked(&mut self.asker, self.waiters.len()).await
    }

    pub(super) async fn fill(&mut self) -> Result<Round> {
        let value = "x".repeat(VALUE);
        let fill = command(&["CACHE.FILL", "fanout", &self.token.to_string(), &value]);
        let length = hit_length(&mut self.sender, VALUE).await?;
        self.round(&fill, length).await
    }

    pub(super) async fn subscribe(&mut self) -> Result<()> {
        for waiter in &mut self.waiters {
            waiter.call(&line("SUBSCRIBE fanout")).await?;
        }
        Ok(())
    }

    pub(super) async fn publish(&mut self) -> Result<Round> {
        let publish = command(&["PUBLISH", "fanout", &"x".repeat(VALUE)]);
        let length = command(&["message", "fanout", &"x".repeat(VALUE)]).len();
        self.round(&publish, length).await
    }

    pub(super) async fn unsubscribe(&mut self) -> Result<()> {
        for waiter in &mut self.waiters {
            waiter.call(&line("UNSUBSCRIBE fanout")).await?;
        }
        Ok(())
    }

    async fn round(&mut self, frame: &[u8], length: usize) -> Result<Round> {
        // Parking so many, and the memory of those woken before, take their time as well: not part of this.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let spent = processor(&mut self.asker).await?;
        self.bystander.longest();
        let replies = all_replies(&mut self.waiters, length, &mut self.sender, frame).await?;
        // One PING may still be under way: it belongs to this round.
        let spent = processor(&mut self.asker).await? - spent;
        tokio::time::sleep(PING_COMES_BACK).await;
        let longest_ping = self.bystander.longest();
        Ok(Round { replies, longest_ping, processor: spent })
    }
}

/// Has `frame` sent once everybody waits, and takes the time of everybody's reply.
pub(super) async fn all_replies(
    waiters: &mut [Connection],
    length: usize,
    sender: &mut Connection,
    frame: &[u8],
) -> Result<Sample> {
    let begin = Cell::new(Instant::now());
    let begin = &begin;
    let waiting = waiters.iter_mut().map(|waiter| async move {
        waiter.skip(length).await?;
        anyhow::Ok(begin.get().elapsed().as_secs_f64())
    });
    let (times, sent) = together(crate::at_once(waiting), async {
        begin.set(Instant::now());
        sender.call(frame).await
    })
    .await;
    sent?;
    times.into_iter().collect::<Result<Sample>>()
}

/// Both, where the first has begun to wait when the second begins.
async fn together<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    join(first, second).await
}

/// Of the reply `HIT` with a value of this length that is fresh for ever: asked for once, with a waiter's own words.
pub(super) async fn hit_length(connection: &mut Connection, value: usize) -> Result<usize> {
    connection.call(&command(&["CACHE.SET", "probe", &"x".repeat(value)])).await?;
    let length = connection.length_of_reply(&line("CACHE.GETORLOCK probe BLOCK 0")).await?;
    connection.call(&line("DEL probe")).await?;
    Ok(length)
}

const PING_COMES_BACK: std::time::Duration = std::time::Duration::from_millis(5);
