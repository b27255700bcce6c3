//! What the demo and the benchmark share: Ctrl-C.

pub mod interrupt;
