//! Keys without a value, by when they go: theirs may be a later end in the server.

use alloc::collections::{BTreeMap, BTreeSet};

use super::name::Name;
use crate::time::UnixMs;

/// Each key once, whatever its end was before.
#[derive(Clone, Default, Debug)]
pub struct Husks {
    by_end: BTreeSet<(UnixMs, u32, Name)>,
    ends: BTreeMap<(u32, Name), UnixMs>,
}

impl Husks {
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }

    #[cfg(feature = "trace")]
    pub(crate) fn len(&self) -> usize {
        self.by_end.len()
    }

    /// When the first goes.
    pub fn first_end(&self) -> Option<UnixMs> {
        self.by_end.first().map(|(until, ..)| *until)
    }

    pub fn insert(&mut self, db: u32, name: Name, until: UnixMs) {
        if let Some(before) = self.ends.insert((db, name.clone()), until) {
            self.by_end.remove(&(before, db, name.clone()));
        }
        self.by_end.insert((until, db, name));
    }

    pub fn remove(&mut self, db: u32, name: Name) {
        if let Some(until) = self.ends.remove(&(db, name.clone())) {
            self.by_end.remove(&(until, db, name));
        }
    }

    pub fn pop_first(&mut self) -> Option<(u32, Name)> {
        let (_, db, name) = self.by_end.pop_first()?;
        self.ends.remove(&(db, name.clone()));
        Some((db, name))
    }

    #[cfg(feature = "model")]
    pub fn iter(&self) -> impl Iterator<Item = &(UnixMs, u32, Name)> {
        self.by_end.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_whose_end_moves_is_kept_once() {
        let mut husks = Husks::default();
        for until in [5, 9, 7] {
            husks.insert(0, Name::new(b"k"), UnixMs::new(until));
        }
        husks.insert(1, Name::new(b"k"), UnixMs::new(8));
        assert_eq!(husks.first_end(), Some(UnixMs::new(7)));
        assert_eq!(husks.pop_first(), Some((0, Name::new(b"k"))));
        husks.remove(1, Name::new(b"k"));
        husks.remove(1, Name::new(b"k"));
        assert!(husks.is_empty() && husks.ends.is_empty());
    }
}
