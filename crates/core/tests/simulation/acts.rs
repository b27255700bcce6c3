//! What can happen in a schedule.

use corral_core::node::event::Event;
use corral_core::node::loading::{LoadedFrom, LoadedLease};
use corral_core::node::{Parking, Writes};
use corral_core::token::Token;

use super::book::{Built, FloorSeen, Granted};
use super::Run;
use crate::world::{name_of, Place, Value};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const TAGS: [&str; 3] = ["red", "green", "blue"];
const GROUPS: [&str; 3] = ["default", "g", "h"];

impl Run {
    pub fn begin(&mut self) {
        let settings = &mut self.w.node.settings;
        settings.backoff_ms = self.chance.between(1, 300);
        settings.backoff_max_ms = self.chance.pick(&[0, 1000]);
        settings.max_tags = self.chance.pick(&[1, 2, 100]);
        settings.pass_ms = 200;
        settings.lease_ms = 500;
        settings.max_waiters_per_key = self.chance.pick(&[3, 1000]);
        self.w.server.random = None;
        self.w.server.seed = self.chance.between(1, u64::MAX >> 1);
        self.configure();
        if self.chance.one_in(2) {
            self.w.attach_replica();
        }
    }

    fn configure(&mut self) {
        let text = self.chance.pick(&[
            "g max 1 fails 2 cool-ms 300, h max 2",
            "g max 2, h max 1 block-ms 100 tied yes",
            "g max 1, h fails 1 cool-ms 50",
            "g max 3 fails 1 cool-ms 1000, h max 1 fails 3",
            "h max 1",
            "",
        ]);
        self.book.show(|| format!("groups {text}"));
        self.w.configure(text);
        self.book.trials.clear();
    }

    fn max(&self, group: &str) -> u32 {
        self.w.policies.get(group.as_bytes()).map_or(0, |policy| policy.max)
    }

    fn now_ms(&self) -> u64 {
        self.w.wall_us / 1000
    }

    fn place(&mut self) -> Place {
        (u32::from(self.chance.one_in(8)), self.chance.pick(&KEYS).as_bytes().to_vec())
    }

    /// One thing happens.
    pub fn act(&mut self) {
        self.book.now += 1;
        match self.chance.between(0, 99) {
            0..=41 => self.ask(),
            42..=62 => self.speak(),
            63..=74 => self.pass(),
            75..=78 => self.close(),
            79..=81 => self.invalidate(),
            82..=83 => self.mark(),
            84..=85 => self.outdate(),
            86 => self.set(),
            87 => self.remove(),
            88 => self.move_keys(),
            89..=90 => self.pause(),
            91 => self.refuse(),
            92 => self.forbid(),
            93 => self.configure(),
            94 => self.set_clock(),
            95 => self.change_role(),
            96 => self.expire(),
            97 => self.unblock(),
            98 => self.reload(),
            _ => self.w.server.parking = self.chance.pick(&[Parking::Possible, Parking::Denied, Parking::Memory]),
        }
        self.collect();
    }

    /// A connection: a number is never given again after it closed.
    fn client(&mut self) -> u64 {
        let seat = self.chance.between(1, self.clients);
        seat + 1000 * self.closed.get(&seat).copied().unwrap_or(0)
    }

    fn ask(&mut self) {
        let client = self.client();
        if self.w.waiter_of(client).is_some() || self.w.in_flight.iter().any(|of| of.client == client) {
            return;
        }
        let place = self.place();
        let group = self.chance.pick(&GROUPS);
        let mut options = format!("GROUP {group} LEASE {}", self.chance.between(1, 900));
        for (option, times) in [("NOSTALE", 3), ("FORCE", 6), ("TIED", 3), ("EARLY 1", 6)] {
            if self.chance.one_in(times) {
                options = format!("{options} {option}");
            }
        }
        if self.chance.one_in(8) && place.0 == 0 {
            options += " NOTIFY";
        }
        let once_ms = self.chance.one_in(12).then(|| self.chance.pick(&[0, 100, 700]));
        if let Some(ms) = once_ms {
            options = format!("{options} ONCE {ms}");
        }
        if !self.chance.one_in(4) {
            options = format!("{options} BLOCK {}", self.chance.pick(&[0, 0, 1, 50, 400]));
        }
        let circuit = self.circuit(group);
        self.book.asked.insert(client, self.book.now);
        let before = self.w.tokens.get(&(client, place.clone())).copied();
        let reply = self.w.ask_at(client, &place, &options);
        self.book.show(|| format!("{client} asks {place:?} {options}: {reply}"));
        if reply == "parked" {
            assert_eq!(self.w.server.parking, Parking::Possible, "{client} is parked");
            let here = u64::from(self.w.node.audience(place.0, &place.1).waiters);
            assert!(here <= self.w.node.settings.max_waiters_per_key, "{here} are parked for {place:?}");
        }
        let token = self.w.tokens.get(&(client, place.clone())).copied().filter(|token| Some(*token) != before);
        if let Some(token) = token {
            assert_ne!(circuit, "open", "{client} is granted {token:?} by an open circuit");
            if circuit == "half-open" {
                let trial = self.book.trials.insert(group, token).and_then(|token| self.book.grants.get(&token));
                let is_out =
                    trial.is_some_and(|of| of.is_building && !of.may_be_over && of.deadline_ms > self.now_ms());
                assert!(!is_out, "a second trial: {token:?} beside {trial:?}");
            }
            self.granted(client, &place, token);
        }
        self.told(client, &place, &reply);
    }

    fn circuit(&self, group: &str) -> &'static str {
        let groups = self.w.node.groups(self.w.now());
        groups.iter().find(|of| of.name == group).map_or("closed", |of| of.circuit)
    }

    /// Books a grant as the entry has it.
    fn granted(&mut self, client: u64, place: &Place, token: Token) {
        let writes = &self.w.server.writes;
        assert!(!matches!(writes, Writes::Refused(_)), "{client} is granted {token:?} while writes are refused");
        let Some(Value::Entry(entry)) = self.w.keys.get(place).map(|stored| &stored.value) else { return };
        let Some(lease) = entry.lease().filter(|lease| lease.token == token) else {
            // Ended in the same turn, by what was due.
            return;
        };
        let named = lease
            .group()
            .map_or("default", |name| GROUPS.into_iter().find(|group| group.as_bytes() == &**name).unwrap());
        let granted = Granted {
            client,
            place: place.clone(),
            group: named,
            is_tied: lease.is_tied,
            at: self.book.now,
            deadline_ms: lease.deadline.get().unwrap(),
            may_be_over: false,
            is_building: true,
        };
        let once_ms = lease.once_ms();
        let (max, now_ms) = (self.max(named), self.now_ms());
        self.book.grant(token, granted, once_ms, max, now_ms);
    }

    fn told(&mut self, client: u64, place: &Place, line: &str) {
        if let Some(value) = line.strip_prefix("HIT ").and_then(|rest| rest.split(' ').next()) {
            let asked = self.book.asked[&client];
            let now_ms = self.now_ms();
            self.book.fresh(place, value, asked, now_ms);
        }
    }

    /// Books what parked clients are told.
    fn collect(&mut self) {
        let deliveries = self.w.in_flight.clone();
        for delivery in &deliveries {
            if let Some(grant) = &delivery.grant {
                assert!(
                    !self.w.server.forbidden.contains(&delivery.client),
                    "{delivery:?} goes to who may not have it"
                );
                self.granted(delivery.client, &delivery.place, grant.token);
            }
        }
        let lost = !deliveries.is_empty() && self.chance.one_in(10);
        if lost {
            // Gone between its wake and the write.
            let clients: Vec<u64> = deliveries.iter().map(|of| of.client).collect();
            let client = self.chance.pick(&clients);
            self.close_client(client);
        }
        for delivery in std::mem::take(&mut self.w.in_flight) {
            let line = crate::world::outcome_line(&delivery.outcome);
            self.book.show(|| format!("  {} is told {:?}: {line}", delivery.client, delivery.place));
            if let Some(grant) = &delivery.grant {
                self.w.tokens.insert((delivery.client, delivery.place.clone()), grant.token);
            }
            self.told(delivery.client, &delivery.place, &line);
        }
    }

    /// A holder speaks, at whatever time.
    fn speak(&mut self) {
        let tokens: Vec<Token> = self.book.grants.keys().rev().take(6).copied().collect();
        if tokens.is_empty() {
            return;
        }
        let token = self.chance.pick(&tokens);
        let granted = self.book.grants[&token].clone();
        let place = granted.place.clone();
        let version = self.chance.one_in(3).then(|| self.chance.between(0, 9));
        let mut tags: Vec<&'static str> = Vec::new();
        for tag in TAGS {
            if self.chance.one_in(4) {
                tags.push(tag);
            }
        }
        let mut labels = format!("PX {}", self.chance.between(1, 600));
        if self.chance.one_in(2) {
            let windows = (self.chance.pick(&[0, 300]), self.chance.pick(&[0, 500, 5000]));
            labels = format!("{labels} SWR {} SIE {}", windows.0, windows.1);
        }
        if let Some(version) = version {
            labels = format!("{labels} VERSION {version}");
        }
        let kind = self.chance.between(0, 9);
        let began = granted.at;
        let (reply, is_word) = match kind {
            0..=3 => {
                if !tags.is_empty() {
                    labels = format!("{labels} TAGS {} {}", tags.len(), tags.join(" "));
                }
                let value = format!("v{}.{}", token.get(), self.book.now);
                let built = Built { place: Some(place.clone()), began, tags, version };
                self.book.values.insert(value.clone(), built);
                (self.w.fill_with(token, &place, &value, &labels), true)
            }
            4 => {
                let kept = match self.w.keys.get(&place).map(|stored| &stored.value) {
                    Some(Value::Entry(entry)) => entry.value().map(|value| crate::world::text(value)),
                    _ => None,
                };
                let built = kept.as_ref().and_then(|kept| self.book.values.get(kept)).cloned();
                let reply = self.w.touch_with(token, &place, &labels);
                if let (Some(kept), Some(built), "OK") = (kept, built, reply.as_str()) {
                    let version = version.or(built.version);
                    self.book.values.insert(kept, Built { began: began.max(built.began), version, ..built });
                }
                (reply, true)
            }
            5 => (self.w.fail_with(token, &place, "down"), true),
            6 => (self.w.pass_with(token, &place), true),
            7..=8 => (self.w.release_with(token, &place), true),
            _ => {
                let tied_to = self.chance.one_in(2).then_some(granted.client);
                let reply = self.w.renew_with(token, &place, self.chance.between(1, 900), tied_to);
                (reply, false)
            }
        };
        self.book.show(|| format!("{token:?} of {place:?} says {kind} {labels}: {reply}"));
        let is_refused = reply.starts_with("TRYAGAIN") || reply.starts_with("READONLY");
        if is_refused {
            return;
        }
        let is_error = reply.starts_with("MISCONF") || reply.starts_with("OOM");
        if is_word && !(kind == 4 && reply == "nil") {
            let lands = !matches!(reply.as_str(), "nil" | "0") && !is_error;
            self.book.spoken(token, lands);
            if is_error || reply == "nil" {
                // The lease ended, or stays: with ONCE, both can be.
                self.book.void(&place);
                if self.is_without_lease(&place, token) {
                    self.forget_once(&place, token);
                }
            }
        } else if is_word {
            // A TOUCH that found no value leaves the lease; by a token that is not current, it is in vain.
            if self.is_without_lease(&place, token) {
                self.book.spoken(token, false);
                self.forget_once(&place, token);
            }
        } else if let Ok(ms) = reply.parse::<u64>() {
            let deadline_ms = self.now_ms() + ms;
            if let Some(of) = self.book.grants.get_mut(&token) {
                // A late one is revived beside whoever has its permit by now.
                of.is_building &= of.deadline_ms > deadline_ms - ms;
                of.deadline_ms = deadline_ms;
                of.may_be_over = false;
                of.is_tied |= self.w.lease_of(&place).is_some_and(|lease| lease.is_tied);
            }
            if let Some(once) = self.book.once.get_mut(&place).filter(|once| once.token == token) {
                once.end_ms = deadline_ms;
            }
        }
    }

    fn is_without_lease(&self, place: &Place, token: Token) -> bool {
        self.w.lease_of(place).is_none_or(|lease| lease.token != token)
    }

    /// Its fill was a verdict, stored or not.
    fn forget_once(&mut self, place: &Place, token: Token) {
        let is_unknown = match self.w.keys.get(place).map(|stored| &stored.value) {
            Some(Value::Entry(entry)) => entry.unknown_until(corral_core::time::Clock::at(self.w.now())).is_some(),
            _ => false,
        };
        if !is_unknown && self.book.once.get(place).is_some_and(|once| once.token == token) {
            self.book.once.remove(place);
        }
    }

    fn pass(&mut self) {
        let ms = self.chance.pick(&[0, 1, 3, 20, 20, 100, 400, 1200]);
        self.book.show(|| format!("{ms} ms pass"));
        // In steps, each seen: what was granted in between is booked before it can end.
        let end_us = self.w.steady_us + ms * 1000;
        while self.w.creep(end_us) {
            self.collect();
        }
    }

    fn close(&mut self) {
        let client = self.client();
        self.close_client(client);
    }

    fn close_client(&mut self, client: u64) {
        self.book.show(|| format!("{client} closes"));
        let lost: Vec<_> = self.w.in_flight.iter().filter(|of| of.client == client).cloned().collect();
        self.w.close(client);
        *self.closed.entry(client % 1000).or_default() += 1;
        for delivery in lost {
            if let Some(grant) = delivery.grant {
                self.book.spoken(grant.token, false);
                if self.book.once.get(&delivery.place).is_some_and(|once| once.token == grant.token) {
                    self.book.once.remove(&delivery.place);
                }
            }
        }
        let now_ms = self.now_ms();
        self.book.holder_gone(client, now_ms);
    }

    fn is_writable(&self) -> bool {
        self.w.node.is_master() && !self.w.is_paused && self.w.server.writes == Writes::Allowed
    }

    fn invalidate(&mut self) {
        let place = self.place();
        let had_live = self.w.lease_of(&place).is_some_and(|lease| !lease.is_over(self.w.now()));
        let reply = self.w.invalidate_at(&place);
        self.book.show(|| format!("INVALIDATE {place:?}: {reply}"));
        if reply.parse::<u64>().is_ok() {
            self.book.invalidated.insert(place.clone(), self.book.now);
            self.book.void(&place);
            let now_ms = self.now_ms();
            match had_live {
                true => {
                    if let Some(once) = self.book.once.get_mut(&place) {
                        once.end_ms = once.end_ms.min(now_ms);
                    }
                }
                false => drop(self.book.once.remove(&place)),
            }
        }
    }

    fn mark(&mut self) {
        if !self.is_writable() {
            return;
        }
        let tag = self.chance.pick(&TAGS);
        let swr_ms = self.chance.pick(&[None, Some(0), Some(50)]);
        self.book.show(|| format!("INVALIDATETAG {tag} {swr_ms:?}"));
        self.w.mark(&[tag], swr_ms);
        self.book.marked.insert(tag, self.book.now);
        let now_ms = self.now_ms();
        for place in self.book.places() {
            // With the floor that rises when marks are forgotten, any of them can be void.
            self.book.void(&place);
            if let Some(once) = self.book.once.get_mut(&place) {
                once.end_ms = once.end_ms.min(now_ms);
            }
        }
    }

    fn outdate(&mut self) {
        let place = self.place();
        let version = self.chance.between(0, 9);
        let reply = self.w.outdate_at(&place, version, self.chance.pick(&["PX 100", "PX 900"]));
        self.book.show(|| format!("OUTDATE {place:?} {version}: {reply}"));
        if let Ok(version) = reply.parse() {
            // The shorter time, for all of it: a law that holds for less than it could.
            let until_ms = self.now_ms() + 100;
            self.book.floors.insert(place, FloorSeen { at: self.book.now, version, until_ms });
        }
    }

    fn set(&mut self) {
        if !self.is_writable() {
            return;
        }
        let place = self.place();
        let value = format!("s{}", self.book.now);
        let version = self.chance.one_in(2).then(|| self.chance.between(0, 9));
        let options =
            version.map_or("PX 200 SWR 500".to_string(), |version| format!("PX 200 SIE 500 VERSION {version}"));
        let built = Built { place: Some(place.clone()), began: self.book.now, tags: Vec::new(), version };
        self.book.values.insert(value.clone(), built);
        let reply = self.w.set_at(&place, &value, &options);
        self.book.show(|| format!("SET {place:?} {value} {options}: {reply}"));
        if reply == "OK" {
            self.book.void(&place);
            self.book.once.remove(&place);
        }
    }

    fn remove(&mut self) {
        if !self.w.node.is_master() || self.w.is_paused {
            return;
        }
        let place = self.place();
        let how = self.chance.between(0, 2);
        self.book.show(|| format!("{place:?} goes: {how}"));
        match how {
            0 => self.w.del_at(&place),
            1 => self.w.set_string_at(&place, "text"),
            _ => self.w.set_other_at(&place),
        }
        self.book.key_gone(&place);
        self.book.invalidated.insert(place.clone(), self.book.now);
        if how == 1 && self.chance.one_in(2) {
            self.w.del_at(&place);
        }
    }

    fn move_keys(&mut self) {
        if !self.w.node.is_master() || self.w.is_paused {
            return;
        }
        let how = self.chance.between(0, 2);
        self.book.show(|| format!("keys move: {how}"));
        match how {
            0 => self.w.flush_all(),
            1 => self.w.swap(0, 1),
            _ => self.w.rename(self.chance.pick(&KEYS), "e"),
        }
        for place in self.book.places() {
            self.book.key_gone(&place);
        }
        self.book.floors.clear();
        self.book.once.clear();
        // Values are under other names by now: what was said of a name says nothing of them.
        self.book.invalidated.clear();
        self.book.values.values_mut().for_each(|built| built.place = None);
    }

    fn pause(&mut self) {
        match self.w.is_paused {
            false if self.chance.one_in(2) => self.w.pause(),
            false => {}
            true => self.w.unpause(),
        }
        let is_paused = self.w.is_paused;
        self.book.show(|| format!("paused: {is_paused}"));
    }

    fn refuse(&mut self) {
        self.w.server.writes = match self.chance.between(0, 3) {
            0 => Writes::OutOfMemory((*b"OOM full").into()),
            1 => Writes::Refused((*b"MISCONF disk").into()),
            _ => Writes::Allowed,
        };
        let writes = &self.w.server.writes;
        self.book.show(|| format!("writes: {writes:?}"));
    }

    fn forbid(&mut self) {
        let client = self.client();
        if !self.w.server.forbidden.remove(&client) {
            self.w.server.forbidden.insert(client);
        }
    }

    fn set_clock(&mut self) {
        let ms = self.chance.pick(&[30, 700, 5000]);
        if self.chance.one_in(2) {
            self.book.show(|| format!("the clock is set {ms} ms ahead"));
            self.w.wall_us += ms * 1000;
            self.w.settle_undelivered();
            return;
        }
        self.book.show(|| format!("the clock is set {ms} ms back"));
        self.w.wall_us -= ms * 1000;
        // Moments from before are to come by now: what was stale can be fresh again. But a mark is a token.
        self.book.floors.clear();
        self.book.once.clear();
        self.book.invalidated.clear();
        self.clock_was_set_back = true;
        self.forget_lost_marks();
        for granted in self.book.grants.values_mut() {
            (granted.may_be_over, granted.is_building) = (true, false);
        }
        self.w.settle_undelivered();
    }

    /// What a mark left in an entry that was loaded since is a moment, and no more.
    fn forget_lost_marks(&mut self) {
        if self.clock_was_set_back && self.has_reloaded {
            self.book.marked.clear();
        }
    }

    fn change_role(&mut self) {
        let is_master = self.w.node.is_master();
        if is_master && !self.chance.one_in(3) {
            return;
        }
        self.book.show(|| format!("master: {}", !is_master));
        match is_master {
            true => {
                self.w.replica = None;
                self.w.become_replica();
                self.w.settle_undelivered();
            }
            false => {
                self.w.become_master();
                let now_ms = self.now_ms();
                self.book.ties_end(now_ms);
                self.w.settle_undelivered();
                if self.chance.one_in(2) {
                    self.w.attach_replica();
                }
            }
        }
    }

    fn expire(&mut self) {
        if !self.w.node.is_master() {
            return;
        }
        let place = self.place();
        let in_ms = self.chance.pick(&[Some(1), Some(200), None]);
        self.book.show(|| format!("{place:?} expires in {in_ms:?}"));
        self.w.set_expiry_at(&place, in_ms);
        // Its lease goes with it, when it goes.
        self.book.key_gone(&place);
    }

    fn unblock(&mut self) {
        let clients: Vec<u64> = self.w.parked.values().map(|parked| parked.client).collect();
        if !clients.is_empty() {
            let client = self.chance.pick(&clients);
            let line = self.w.unblock(client);
            self.book.show(|| format!("{client} is unblocked: {line}"));
        }
    }

    /// DEBUG RELOAD.
    fn reload(&mut self) {
        if !self.w.node.is_master() || self.w.is_paused {
            return;
        }
        self.book.show(|| "reload".to_string());
        self.w.settle_undelivered();
        self.collect();
        // Entries are written out as they are seen: what was voided is void. A replica is sent the same anew.
        for (place, stored) in &mut self.w.keys {
            if let Value::Entry(entry) = &mut stored.value {
                *entry = self.w.node.seen(place.0, entry);
            }
        }
        self.has_reloaded = true;
        self.forget_lost_marks();
        let had_replica = self.w.replica.take().is_some();
        self.w.event(Event::LoadBegan { beside: false });
        for (place, stored) in &self.w.keys.clone() {
            let Value::Entry(entry) = &stored.value else { continue };
            let Some(lease) = entry.lease().cloned() else { continue };
            let (youngest, name) = (Some(lease.token), name_of(place));
            let from = LoadedFrom::DataSet;
            self.w.event(Event::Loaded(LoadedLease { db: place.0, name, lease: Some(lease), youngest, from }));
        }
        self.w.event(Event::LoadEnded { beside: false, succeeded: true });
        if had_replica {
            self.w.attach_replica();
        }
        let now_ms = self.now_ms();
        for granted in self.book.grants.values_mut() {
            // What was voided before is known to nobody any more; ties end.
            granted.is_building &= !granted.may_be_over;
            if granted.is_tied {
                (granted.is_building, granted.may_be_over) = (false, true);
                if let Some(once) = self.book.once.get_mut(&granted.place) {
                    once.end_ms = once.end_ms.min(now_ms);
                }
            }
        }
        self.w.settle_undelivered();
    }

    /// What holds after each act.
    pub fn check(&mut self) {
        self.w.settle_undelivered();
        self.collect();
        self.w.assert_replica_is_equal();
        let groups = self.w.node.groups(self.w.now());
        let line = |of: &corral_core::node::report::GroupReport| {
            format!("{} {} permits {} queued {}", of.name, of.permits, of.queued, of.circuit)
        };
        self.book.show(|| format!("  {:?}", groups.iter().map(line).collect::<Vec<_>>()));
        assert!(self.w.most_effects <= 200, "{} effects in one step", self.w.most_effects);
        if !self.is_writable() {
            return;
        }
        // Kept for a listener, or for the end of a pause: not for longer, each.
        let mut rounds = 0;
        while let Some(idle) = self.idle_permit() {
            assert!(rounds < 12, "a free permit and a queue last together in {idle}");
            rounds += 1;
            let end_us = self.w.steady_us + 110_000;
            while self.w.creep(end_us) {
                self.collect();
            }
        }
    }

    fn idle_permit(&self) -> Option<String> {
        let groups = self.w.node.groups(self.w.now());
        let is_idle = |of: &&corral_core::node::report::GroupReport| {
            let max = self.max(&of.name) as usize;
            of.queued > 0 && of.circuit == "closed" && (max == 0 || of.permits < max)
        };
        groups.iter().find(is_idle).map(|of| format!("{of:?}"))
    }

    /// Everything is well again, and everybody gets an answer.
    pub fn end(&mut self) {
        self.book.now += 1;
        self.book.show(|| "all is well".to_string());
        self.w.server.writes = Writes::Allowed;
        self.w.server.parking = Parking::Possible;
        self.w.server.forbidden.clear();
        if self.w.is_paused {
            self.w.unpause();
        }
        if !self.w.node.is_master() {
            self.w.become_master();
            let now_ms = self.now_ms();
            self.book.ties_end(now_ms);
        }
        let mut rounds = 0;
        while !(self.w.parked.is_empty() && self.w.in_flight.is_empty()) {
            let end_us = self.w.steady_us + 1_000_000;
            while self.w.creep(end_us) {
                self.collect();
            }
            self.collect();
            rounds += 1;
            assert!(rounds < 700, "{:?} wait for nothing", self.w.parked);
        }
        self.w.pass(200_000);
        assert!(!self.w.node.has_rooms(), "{} listen for nothing", self.w.node.listeners());
        assert_eq!((self.w.node.live_leases(), self.w.node.listeners()), (0, 0));
        assert_eq!(self.w.node.next_due(), None, "nothing is left to do");
        for of in self.w.node.groups(self.w.now()) {
            assert_eq!((of.live, of.permits, of.queued), (0, 0, 0), "{of:?}");
        }
    }
}
