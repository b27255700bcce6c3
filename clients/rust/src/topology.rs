//! Which node has a key, and which nodes are masters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redis::{cmd, RedisError, Value};

use crate::error::{kind_of, Error, Kind};
use crate::node::{locked, Node};
use crate::target::{slot_of, Address, Target};

type Ranges = Arc<[(u16, u16, Arc<Node>)]>;

pub(crate) struct Topology {
    target: Arc<Target>,
    only: Option<Arc<Node>>,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    ranges: RwLock<Ranges>,
}

impl Topology {
    pub(crate) fn new(target: Target) -> Self {
        let target = Arc::new(target);
        Topology {
            only: (!target.is_cluster()).then(|| Arc::new(Node::new(target.clone(), None))),
            target,
            nodes: Mutex::default(),
            ranges: RwLock::new(Arc::from([])),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.only.is_none()
    }

    pub(crate) fn at(&self, address: Address) -> Arc<Node> {
        let make = || Arc::new(Node::new(self.target.clone(), Some(address.clone())));
        self.only.clone().unwrap_or_else(|| locked(&self.nodes).entry(address.clone()).or_insert_with(make).clone())
    }

    fn known(&self) -> Ranges {
        self.ranges.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn of(&self, key: &[u8]) -> Result<Arc<Node>, Error> {
        if let Some(only) = &self.only {
            return Ok(only.clone());
        }
        let slot = slot_of(key);
        for fresh in [false, true] {
            if fresh {
                self.refresh().await?;
            }
            if let Some((.., node)) = self.known().iter().find(|(first, last, _)| (*first..=*last).contains(&slot)) {
                return Ok(node.clone());
            }
        }
        Err(Error::Unavailable(format!("slot {slot} of the cluster is served by nobody")))
    }

    pub(crate) async fn masters(&self) -> Result<Vec<Arc<Node>>, Error> {
        if let Some(only) = &self.only {
            return Ok(vec![only.clone()]);
        }
        self.refresh().await?;
        let mut masters: Vec<Arc<Node>> = Vec::new();
        for (.., node) in self.known().iter() {
            if !masters.iter().any(|known| known.name == node.name) {
                masters.push(node.clone());
            }
        }
        Ok(masters)
    }

    /// Asks whoever answers, those known to be well first.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        if !self.is_cluster() {
            return Ok(());
        }
        let mut asked: Vec<Arc<Node>> = self.known().iter().map(|(.., node)| node.clone()).collect();
        asked.extend(self.target.seeds().into_iter().map(|seed| self.at(seed)));
        asked.sort_by_key(|node| node.is_out().is_some());
        asked.dedup_by(|one, other| one.name == other.name);
        let mut why = "none is known".to_owned();
        for node in asked {
            match slots_of(&node).await {
                Ok(Value::Array(rows)) => {
                    let read: Vec<_> = rows.iter().filter_map(|row| self.read(row, &node)).collect();
                    *self.ranges.write().unwrap_or_else(PoisonError::into_inner) = read.into();
                    return Ok(());
                }
                Ok(other) => why = format!("{} answered CLUSTER SLOTS with {other:?}", node.name),
                Err(error) if kind_of(&error) == Kind::Denied => {
                    return Err(Error::NoPermission(format!("{}: {error}", node.name)));
                }
                Err(error) => why = format!("{}: {error}", node.name),
            }
        }
        Err(Error::Unavailable(format!("no node of the cluster answers: {why}")))
    }

    fn read(&self, row: &Value, told: &Node) -> Option<(u16, u16, Arc<Node>)> {
        let Value::Array(fields) = row else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = fields.as_slice() else { return None };
        // A node that does not know its own address says nothing: it is the one that was asked.
        let host = match master.first() {
            Some(Value::BulkString(host)) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
            _ => told.name.rsplit_once(':')?.0.to_owned(),
        };
        let Some(Value::Int(port)) = master.get(1) else { return None };
        let node = self.at(Address { host, port: u16::try_from(*port).ok()? });
        Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, node))
    }
}

async fn slots_of(node: &Node) -> Result<Value, RedisError> {
    let mut link = node.take().await?;
    let slots = cmd("CLUSTER").arg("SLOTS").query_async(&mut link.connection).await?;
    node.give(link);
    Ok(slots)
}
