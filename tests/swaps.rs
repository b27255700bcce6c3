//! SWAPDB with leases out: every lease of both databases is void, once and for all, and on replicas too.

use crate::harness::{picture, Server};

#[test]
fn a_lease_is_void_after_any_number_of_swaps() {
    let server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    assert!(client.run("CACHE.SET page old EX 3600").is_ok());
    let token = client.ask("CACHE.GETORLOCK page FORCE LEASE 200000").token();
    for _ in 0..2 {
        assert!(client.run("SWAPDB 0 1").is_ok());
    }
    assert!(client.ask("CACHE.GET page").is("HIT", Some("old")));
    replica.catch_up_with(&server);
    assert_eq!(picture(&mut replica.client()), picture(&mut client), "reading changes nothing");
    assert!(client.run(&format!("CACHE.FILL page {token} late")).is_nil());
    assert!(client.ask("CACHE.GETORLOCK page FORCE").token() > token);
    replica.catch_up_with(&server);
    assert_eq!(picture(&mut replica.client()), picture(&mut client));
}

/// Two servers see the swap at two moments, and look at the key at others.
#[test]
fn an_outcome_that_a_swap_made_unknown_ends_at_the_same_moment_on_both() {
    let server = Server::start();
    let replica = server.replica();
    let mut client = server.client();
    for number in 0..20 {
        client.ask(&format!("CACHE.GETORLOCK once{number} LEASE 50000 ONCE 60000")).token();
        client.ask(&format!("CACHE.GETORLOCK late{number} LEASE 1")).token();
    }
    replica.freeze();
    assert!(client.run("SWAPDB 0 1").is_ok());
    assert!(client.run("SWAPDB 0 1").is_ok());
    let refused = client.ask("CACHE.GETORLOCK once0");
    assert!(refused.is("FAIL", Some("outcome unknown")) && refused.number > 59_000, "{refused:?}");
    replica.thaw();
    replica.catch_up_with(&server);
    assert_eq!(picture(&mut replica.client()), picture(&mut client));
}
