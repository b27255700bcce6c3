//! Payloads that came by RESTORE or a slot migration, until a visit has found them in their keys: the server may refuse
//! what the module has read.

use alloc::collections::BTreeMap;

use super::name::Name;
use crate::token::Token;

/// What came and was not looked at yet.
#[derive(Clone, Default, Debug)]
pub struct Arrivals {
    /// Whether something of the payload was settled as it came, so that replicas and the AOF are to be told.
    keys: BTreeMap<(u32, Name), bool>,
    /// The youngest token in any of them.
    youngest: Option<Token>,
}

impl Arrivals {
    pub fn note(&mut self, db: u32, name: Name, youngest: Option<Token>, is_settled: bool) {
        *self.keys.entry((db, name)).or_default() |= is_settled;
        self.youngest = self.youngest.max(youngest);
    }

    /// A key is looked at. Says whether what came for it was settled.
    pub fn take(&mut self, db: u32, name: &Name) -> bool {
        let is_settled = match self.keys.is_empty() {
            true => false,
            false => self.keys.remove(&(db, name.clone())).unwrap_or(false),
        };
        if self.keys.is_empty() {
            self.youngest = None;
        }
        is_settled
    }

    /// The youngest token that may have come: a mark that is set now must be younger.
    pub fn youngest(&self) -> Option<Token> {
        self.youngest
    }

    pub fn keys(&self) -> impl Iterator<Item = (&(u32, Name), bool)> {
        self.keys.iter().map(|(key, is_settled)| (key, *is_settled))
    }
}
