//! The contract's sentences, a test each, in its order.

mod asking;
mod circuits;
mod failing;
mod filling;
mod groups;
mod invalidation;
mod keys;
mod listeners;
mod moments;
mod once;
mod pauses;
mod replicas;
mod rooms;
mod tags;
mod ties;
mod versions;
