//! A key's name, kept once per node however many things are remembered of the key.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// Up to 22 bytes in place, which most names are; a longer one is shared.
#[derive(Clone, Debug)]
pub enum Name {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

const SHORT: usize = 22;

impl Name {
    pub fn new(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Name::Short { length: bytes.len() as u8, bytes: short }
            }
            None => Name::Long(bytes.into()),
        }
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Name::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Name::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
impl Eq for Name {}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        crate::steps::step();
        (**self).cmp(&**other)
    }
}
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_by_their_bytes_and_stay_small() {
        assert_eq!(size_of::<Name>(), 24);
        let long = [b'x'; 23];
        assert_eq!(&*Name::new(&long), &long);
        assert_eq!(&*Name::new(b""), b"");
        assert!(Name::new(b"a") < Name::new(b"b") && Name::new(&long) > Name::new(b"x"));
    }
}
