//! Records by moment: one list per millisecond, linked through the records themselves, so that a record costs eight
//! bytes here however many share its moment.

use alloc::collections::BTreeMap;

use super::slab::{Id, NIL};

/// A record's neighbours in its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    pub prev: Id,
    pub next: Id,
}

impl Pair {
    pub const ALONE: Self = Self { prev: NIL, next: NIL };
}

/// Records that can be in a calendar.
pub trait Paired {
    /// The neighbours of a record that exists; of another, something that nobody reads.
    fn pair(&mut self, id: Id) -> Option<&mut Pair>;
}

/// Lists by moment, in arrival order within each.
#[derive(Clone, Default, Debug)]
pub struct Calendar {
    days: BTreeMap<u64, Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: Id,
    last: Id,
}

impl Calendar {
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    pub fn insert(&mut self, at: u64, id: Id, records: &mut impl Paired) {
        let ends = self.days.entry(at).or_insert(Ends { first: NIL, last: NIL });
        let last = core::mem::replace(&mut ends.last, id);
        if last == NIL {
            ends.first = id;
        } else if let Some(pair) = records.pair(last) {
            pair.next = id;
        }
        if let Some(pair) = records.pair(id) {
            *pair = Pair { prev: last, next: NIL };
        }
    }

    pub fn remove(&mut self, at: u64, id: Id, records: &mut impl Paired) {
        let Some(pair) = records.pair(id) else { return };
        let Pair { prev, next } = core::mem::replace(pair, Pair::ALONE);
        let Some(ends) = self.days.get_mut(&at) else { return };
        match records.pair(prev) {
            Some(pair) => pair.next = next,
            None => ends.first = next,
        }
        match records.pair(next) {
            Some(pair) => pair.prev = prev,
            None => ends.last = prev,
        }
        if ends.first == NIL {
            self.days.remove(&at);
        }
    }

    /// The first moment, and the first record in it.
    pub fn first(&self) -> Option<(u64, Id)> {
        self.days.first_key_value().map(|(at, ends)| (*at, ends.first))
    }

    /// The first record of the moments from `at` on.
    pub fn first_from(&self, at: u64) -> Option<(u64, Id)> {
        self.days.range(at..).next().map(|(at, ends)| (*at, ends.first))
    }
}

#[cfg(feature = "model")]
impl Calendar {
    /// Every record by its moment, in the order of arrival.
    pub fn walk(&self, records: &mut impl Paired, mut show: impl FnMut(u64, Id)) {
        for (at, ends) in &self.days {
            let mut id = ends.first;
            while let Some(pair) = records.pair(id) {
                show(*at, id);
                id = pair.next;
            }
        }
    }
}
