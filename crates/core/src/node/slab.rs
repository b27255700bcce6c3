//! Records in chunks of a fixed size, by number: nothing is copied when there are more, and an empty chunk is given
//! back.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::steps::step;

/// A record's number; [`NIL`] for none. Given out again after the record is gone.
pub type Id = u32;
pub const NIL: Id = u32::MAX;

/// Records per chunk.
const CHUNK: usize = if cfg!(feature = "model") { 4 } else { 64 };

#[derive(Clone, Debug)]
pub struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Chunks with room, the first first: records keep together.
    open: BTreeSet<u32>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Chunk<T> {
    /// Empty while the chunk has no record.
    places: Vec<Option<T>>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: BTreeSet::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, record: T) -> Id {
        step();
        let number = match self.open.first() {
            Some(number) => *number,
            None => {
                let number = self.chunks.len() as u32;
                self.chunks.push(Chunk { places: Vec::new(), len: 0 });
                self.open.insert(number);
                number
            }
        };
        let Some(chunk) = self.chunks.get_mut(number as usize) else { return NIL };
        if chunk.places.is_empty() {
            chunk.places.reserve_exact(CHUNK);
            chunk.places.resize_with(CHUNK, || None);
        }
        let place = chunk.places.iter().position(Option::is_none).unwrap_or(0);
        if let Some(free) = chunk.places.get_mut(place) {
            *free = Some(record);
        }
        chunk.len += 1;
        if chunk.len == CHUNK {
            self.open.remove(&number);
        }
        self.len += 1;
        number * CHUNK as u32 + place as u32
    }

    pub fn remove(&mut self, id: Id) -> Option<T> {
        step();
        let number = id / CHUNK as u32;
        let chunk = self.chunks.get_mut(number as usize)?;
        let record = chunk.places.get_mut(id as usize % CHUNK)?.take()?;
        chunk.len -= 1;
        if chunk.len == 0 {
            chunk.places = Vec::new();
        }
        self.open.insert(number);
        self.len -= 1;
        Some(record)
    }

    pub fn get(&self, id: Id) -> Option<&T> {
        step();
        self.chunks.get(id as usize / CHUNK)?.places.get(id as usize % CHUNK)?.as_ref()
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        step();
        self.chunks.get_mut(id as usize / CHUNK)?.places.get_mut(id as usize % CHUNK)?.as_mut()
    }

    /// The records of one chunk, and whether there are chunks behind it: a walk in slices.
    pub fn chunk(&self, number: u32) -> (impl Iterator<Item = (Id, &T)>, bool) {
        let chunk = self.chunks.get(number as usize);
        let records = chunk.into_iter().flat_map(|chunk| chunk.places.iter().enumerate());
        let records =
            records.filter_map(move |(place, record)| Some((number * CHUNK as u32 + place as u32, record.as_ref()?)));
        (records, (number as usize) + 1 < self.chunks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_and_go_and_empty_chunks_are_given_back() {
        let mut slab = Slab::default();
        let ids: Vec<Id> = (0..200_u32).map(|number| slab.insert(number)).collect();
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(slab.get(*id), Some(&(number as u32)));
        }
        for id in &ids {
            assert!(slab.remove(*id).is_some() && slab.remove(*id).is_none());
        }
        assert_eq!(slab.len(), 0);
        assert!(slab.chunks.iter().all(|chunk| chunk.places.capacity() == 0));
        assert_eq!(slab.insert(7), 0);
        assert_eq!(slab.chunk(0).0.collect::<Vec<_>>(), [(0, &7)]);
    }
}
