//! The node's tests: stories, rules, laws of cost.
