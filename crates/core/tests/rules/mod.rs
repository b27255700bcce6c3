//! The contract's sentences, a test each, in its order.

mod asking;
