//! What the demo and the benchmark share: Ctrl-C, and servers that end with them.

pub mod interrupt;
pub mod process;
