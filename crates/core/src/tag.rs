//! Tags: labels of entries, invalidated together.
//!
//! There is no index from tags to keys. An entry points to its tags, each of which carries its last mark: whether the
//! mark is younger than the entry's birth is one comparison per tag, and marking a tag costs the same with a million
//! entries as with none.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::token::Token;

/// How many tags an entry can have.
pub const TAGS_LIMIT: usize = 32;
/// The longest tag, in bytes.
pub const TAG_LIMIT: usize = 255;

/// One tag's name, kept once on a node, and its last mark. Shared by the entries that have it, which can be freed on
/// another thread: that is why the mark is atomic.
#[derive(Debug)]
pub struct Tag {
    name: Box<[u8]>,
    /// The token of the last mark; 0 for none.
    mark: AtomicU64,
}

/// The tags of an entry, and the token it was born under.
#[derive(Clone, Debug)]
pub struct Tagged {
    pub birth: Token,
    /// In the order they were given, each once.
    pub tags: Box<[Arc<Tag>]>,
}

/// The token that counts as a mark of every tag. Shared like the marks, since a hit compares with it too.
#[derive(Clone, Default, Debug)]
pub struct TagFloor(Arc<AtomicU64>);

/// Where tags come from, by name.
pub trait Intern {
    fn intern(&mut self, name: &[u8]) -> Arc<Tag>;
}

impl Tag {
    pub fn new(name: &[u8]) -> Arc<Self> {
        Arc::new(Self { name: name.into(), mark: AtomicU64::new(0) })
    }

    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub fn mark(&self) -> Option<Token> {
        Token::new(self.mark.load(Relaxed))
    }

    /// The same name and mark, kept apart.
    #[cfg(feature = "model")]
    pub(crate) fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self { name: self.name.clone(), mark: AtomicU64::new(self.mark.load(Relaxed)) })
    }

    pub fn set_mark(&self, token: Option<Token>) {
        self.mark.store(token.map_or(0, Token::get), Relaxed);
    }
}

impl TagFloor {
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn raise_to(&self, token: u64) {
        self.0.store(self.get().max(token), Relaxed);
    }

    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    #[cfg(feature = "model")]
    pub(crate) fn duplicate(&self) -> Self {
        Self(Arc::new(AtomicU64::new(self.get())))
    }
}

impl Tagged {
    /// Whether a mark, of one of the tags or of all, is as young as the entry or younger.
    #[inline]
    pub fn is_marked(&self, floor: &TagFloor) -> bool {
        self.is_marked_since(self.birth, floor)
    }

    /// Whether a mark is as young as `token` or younger.
    pub fn is_marked_since(&self, token: Token, floor: &TagFloor) -> bool {
        let token = token.get();
        floor.get() >= token || self.tags.iter().any(|tag| tag.mark.load(Relaxed) >= token)
    }
}

impl PartialEq for Tagged {
    fn eq(&self, other: &Self) -> bool {
        self.birth == other.birth && self.tags.iter().map(|tag| tag.name()).eq(other.tags.iter().map(|tag| tag.name()))
    }
}
impl Eq for Tagged {}
impl Hash for Tagged {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.birth.hash(state);
        self.tags.iter().for_each(|tag| tag.name().hash(state));
    }
}

/// A tag in a map by name.
#[derive(Clone, Debug)]
pub struct ByName(pub Arc<Tag>);

impl Borrow<[u8]> for ByName {
    fn borrow(&self) -> &[u8] {
        self.0.name()
    }
}
impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}
impl Eq for ByName {}
impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name().cmp(other.0.name())
    }
}
