//! What others do to keys, tags and whole databases.

use super::book::{Built, FloorSeen};
use super::{Run, KEYS, TAGS};

impl Run {
    pub(super) fn invalidate(&mut self) {
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

    pub(super) fn mark(&mut self) {
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

    pub(super) fn outdate(&mut self) {
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

    pub(super) fn set(&mut self) {
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

    pub(super) fn remove(&mut self) {
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

    pub(super) fn expire(&mut self) {
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

    pub(super) fn move_keys(&mut self) {
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
}
