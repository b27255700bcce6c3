//! Queues that merge: a leftist heap over records that carry their own links (Crane 1972; Knuth, TAOCP 5.2.3).
//!
//! When a lease ends, those that waited for it join those that wait for the next one, in the order they came, however
//! many they are. A sorted map would move them one by one. Here merging, taking out the first and taking out any other
//! cost O(log n) each, and moving a whole queue costs nothing.

use super::slab::{Id, NIL};

/// A record's place in its heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    left: Id,
    right: Id,
    parent: Id,
    /// The shortest way down to a missing child; the right one's is never the longer.
    rank: u8,
}

/// Records that can be in a heap.
pub trait Linked {
    fn link(&self, id: Id) -> Link;
    fn set_link(&mut self, id: Id, link: Link);
    /// What they are ordered by; unique.
    fn order(&self, id: Id) -> u64;
}

impl Link {
    /// Of a record in no heap, or alone in one.
    pub const ALONE: Self = Self { left: NIL, right: NIL, parent: NIL, rank: 1 };

    pub const fn is_root(self) -> bool {
        self.parent == NIL
    }

    /// Puts the shorter way right. Says whether the rank changed.
    fn straighten(&mut self, records: &impl Linked) -> bool {
        let rank_of = |child: Id| if child == NIL { 0 } else { records.link(child).rank };
        let (left, right) = (rank_of(self.left), rank_of(self.right));
        if left < right {
            core::mem::swap(&mut self.left, &mut self.right);
        }
        let was = core::mem::replace(&mut self.rank, left.min(right) + 1);
        was != self.rank
    }

    #[cfg(feature = "model")]
    pub const fn children(self) -> [Id; 2] {
        [self.left, self.right]
    }
}

/// Merges two heaps, either of which may be [`NIL`]. Returns the root.
pub fn meld(records: &mut impl Linked, one: Id, other: Id) -> Id {
    if one == NIL || other == NIL {
        return if one == NIL { other } else { one };
    }
    let (root, other) = if records.order(other) < records.order(one) { (other, one) } else { (one, other) };
    let mut link = records.link(root);
    // As deep as the right spine: log2 of the number of records.
    let right = meld(records, link.right, other);
    if right != link.right {
        update(records, right, |link| link.parent = root);
        link.right = right;
    }
    link.straighten(records);
    records.set_link(root, link);
    root
}

/// Takes out the first. Returns the root of the rest.
pub fn pop(records: &mut impl Linked, root: Id) -> Id {
    remove(records, root, root)
}

/// Takes out any record. Returns the root of the rest.
pub fn remove(records: &mut impl Linked, root: Id, id: Id) -> Id {
    let Link { left, right, parent, .. } = records.link(id);
    for child in [left, right] {
        update(records, child, |link| link.parent = NIL);
    }
    let rest = meld(records, left, right);
    records.set_link(id, Link::ALONE);
    if parent == NIL {
        return rest;
    }
    update(records, rest, |link| link.parent = parent);
    update(records, parent, |link| {
        if link.left == id {
            link.left = rest;
        } else {
            link.right = rest;
        }
    });
    let mut above = parent;
    // Ranks fall by what they fell below, so this ends after log2 of the number of records.
    while above != NIL {
        let mut link = records.link(above);
        let is_changed = link.straighten(records);
        records.set_link(above, link);
        above = if is_changed { link.parent } else { NIL };
    }
    root
}

fn update(records: &mut impl Linked, id: Id, change: impl FnOnce(&mut Link)) {
    if id != NIL {
        let mut link = records.link(id);
        change(&mut link);
        records.set_link(id, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use proptest::test_runner::Config;

    struct Records {
        links: Vec<Link>,
        visits: core::cell::Cell<usize>,
    }

    impl Linked for Records {
        fn link(&self, id: Id) -> Link {
            self.visits.set(self.visits.get() + 1);
            self.links[id as usize]
        }
        fn set_link(&mut self, id: Id, link: Link) {
            self.links[id as usize] = link;
        }
        fn order(&self, id: Id) -> u64 {
            u64::from(id)
        }
    }

    fn records(count: u32) -> Records {
        Records { links: (0..count).map(|_| Link::ALONE).collect(), visits: core::cell::Cell::new(0) }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(usize),
        Pop(usize),
        Remove(prop::sample::Index),
        Meld(usize, usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        let queue = 0..4_usize;
        prop_oneof![
            4 => queue.clone().prop_map(Act::Insert),
            2 => queue.clone().prop_map(Act::Pop),
            2 => any::<prop::sample::Index>().prop_map(Act::Remove),
            1 => (queue.clone(), queue).prop_map(|(from, to)| Act::Meld(from, to)),
        ]
    }

    proptest! {
        #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

        #[test]
        fn heaps_do_what_sorted_maps_do(acts in proptest::collection::vec(act(), 1..300)) {
            let mut records = records(300);
            let mut roots = [NIL; 4];
            let mut expected: [BTreeMap<u32, ()>; 4] = Default::default();
            for (number, act) in (0..).zip(acts) {
                match act {
                    Act::Insert(queue) => {
                        roots[queue] = meld(&mut records, roots[queue], number);
                        expected[queue].insert(number, ());
                    }
                    Act::Pop(queue) => {
                        let first = expected[queue].pop_first().map_or(NIL, |(first, ())| first);
                        prop_assert_eq!(roots[queue], first);
                        if first != NIL {
                            roots[queue] = pop(&mut records, first);
                        }
                    }
                    Act::Remove(index) => {
                        let all: Vec<(usize, u32)> =
                            (0..4).flat_map(|queue| expected[queue].keys().map(move |id| (queue, *id))).collect();
                        if !all.is_empty() {
                            let (queue, id) = *index.get(&all);
                            roots[queue] = remove(&mut records, roots[queue], id);
                            expected[queue].remove(&id);
                        }
                    }
                    Act::Meld(from, to) if from != to => {
                        roots[to] = meld(&mut records, roots[to], core::mem::replace(&mut roots[from], NIL));
                        let moved = core::mem::take(&mut expected[from]);
                        expected[to].extend(moved);
                    }
                    Act::Meld(..) => {}
                }
            }
            for queue in 0..4 {
                while let Some((first, ())) = expected[queue].pop_first() {
                    prop_assert_eq!(roots[queue], first);
                    roots[queue] = pop(&mut records, first);
                }
                prop_assert_eq!(roots[queue], NIL);
            }
        }
    }

    #[test]
    fn each_act_costs_the_logarithm() {
        const COUNT: u32 = 100_000;
        let mut records = records(COUNT);
        let mut root = NIL;
        let mut dearest = 0;
        let mut counted = |records: &Records| {
            dearest = dearest.max(records.visits.replace(0));
        };
        for id in 0..COUNT {
            root = meld(&mut records, root, id);
            counted(&records);
        }
        for id in (0..COUNT).step_by(3) {
            root = remove(&mut records, root, id);
            counted(&records);
        }
        while root != NIL {
            root = pop(&mut records, root);
            counted(&records);
        }
        assert!(dearest <= 40 * 17, "{dearest} visits");
    }
}
