//! What is committed is what `make docs` writes.

use super::root;
use crate::harness::Server;

#[test]
fn what_is_committed_is_what_make_docs_writes() {
    let server = Server::start();
    for (path, text) in corral_docs::written(root(), &mut server.client()).unwrap() {
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let stale = committed.lines().zip(text.lines()).find(|(committed, written)| committed != written);
        assert!(committed == text, "{}: `make docs` would change {stale:?}", path.display());
    }
}
