//! Somebody who changes the groups all the time: limits that rise and fall, circuits that come and go, groups that are
//! there and are not, and settings that are wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::scene::Scene;
use crate::harness::{Client, Reply};

/// What visitors name. `elsewhere` is never configured, and `default` is meant by those who name none.
pub const NAMES: [&str; 4] = ["news", "shop", "search", "elsewhere"];
const CONFIGURED: [&str; 4] = ["news", "shop", "search", "default"];

/// A word of each is wrong: nothing changes.
const WRONG: [&str; 4] =
    ["news max 3, shop max", "news max 3, news max 4", "shop lease-ms 0", "news fails -1, shop max 1"];

/// Goes on until the scene is over. At rest it changes nothing: whoever queues then must come to an end by the last limits.
pub fn change(scene: &Scene) {
    let (mut client, mut chance) = (None, fastrand::Rng::with_seed(scene.seed));
    while !scene.is_over() {
        std::thread::sleep(Duration::from_millis(chance.u64(1..60)));
        if scene.rests() {
            client = None;
            continue;
        }
        if client.is_none() {
            client = Client::try_connect(scene.port()).ok();
        }
        let is_wrong = chance.u32(0..20) == 0;
        let settings = if is_wrong { WRONG[chance.usize(0..WRONG.len())].to_owned() } else { groups(&mut chance) };
        let Some(open) = &mut client else { continue };
        // By the protocol's inline form, which has quotes.
        let sent = open.try_send_raw(format!("CONFIG SET corral.groups \"{settings}\"\r\n").as_bytes());
        match sent.map_or(Reply::Closed, |()| open.read()) {
            Reply::Closed => client = None,
            Reply::Error(sentence) => {
                assert!(is_wrong, "seed {}: {settings:?} was refused: {sentence}", scene.seed);
                scene.groups_refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                assert!(!is_wrong, "seed {}: {settings:?} was taken", scene.seed);
                scene.groups_changed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn groups(chance: &mut fastrand::Rng) -> String {
    let present: Vec<&str> = CONFIGURED.into_iter().filter(|_| chance.u32(0..4) > 0).collect();
    let groups = present.into_iter().map(|name| {
        let mut group = name.to_owned();
        if chance.u32(0..5) > 0 {
            group += &format!(" max {}", chance.u32(0..12));
        }
        if chance.bool() {
            group += &format!(" fails {} cool-ms {}", chance.u32(0..4), chance.u32(1..300));
        }
        // The keys of one visitor alone are asked for without a group, and their leases are to last.
        if name != "default" {
            for (option, most) in
                [("lease-ms", 400), ("block-ms", 2000), ("backoff-ms", 300), ("swr-ms", 300), ("sie-ms", 300)]
            {
                if chance.u32(0..4) == 0 {
                    group += &format!(" {option} {}", chance.u32(1..most));
                }
            }
            if chance.u32(0..4) == 0 {
                group += if chance.bool() { " tied yes" } else { " tied no" };
            }
        }
        group
    });
    groups.collect::<Vec<_>>().join(", ")
}
