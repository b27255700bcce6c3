//! One key of every kind, for tests that are about all of them.

#[cfg(feature = "client")]
use crate::Client;
use crate::Reply;

/// The tokens of the leases that are out.
pub struct Stock {
    pub held: i64,
    pub forced: i64,
}

impl Stock {
    /// Fills an empty server. The leases last for minutes, everything else for hours.
    #[cfg(feature = "client")]
    pub fn furnish(client: &mut Client) -> Self {
        Self::furnish_by(|line| client.run(line))
    }

    /// The same by whatever runs a command.
    pub fn furnish_by(mut run: impl FnMut(&str) -> Reply) -> Self {
        for line in [
            "CACHE.SET fresh value PX 3600000 SWR 7 SIE 9",
            "CACHE.SET stale value PXAT 1 SWR 9007199254740000",
            "CACHE.SET forced value PX 3600000 SWR 600000",
            "SET string 12345",
            "RPUSH list a b",
            "HSET hash field value",
            "SADD set a",
            "ZADD zset 1 a",
            "XADD stream 1-1 field value",
        ] {
            let reply = run(line);
            assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
        }
        assert!(run("CACHE.GET stale").triple().is("STALE", Some("value")));
        let failed = run("CACHE.GETORLOCK failed").triple().token();
        run(&format!("CACHE.FAIL failed {failed} down BACKOFF 86400000"));
        let passed = run("CACHE.GETORLOCK passed").triple().token();
        run(&format!("CACHE.PASS passed {passed} PX 3600000"));
        let held = run("CACHE.GETORLOCK held LEASE 300000").triple().token();
        let forced = run("CACHE.GETORLOCK forced FORCE LEASE 300000").triple().token();
        Self { held, forced }
    }
}

/// The digest and the deadline of every key of a database: contents, times and leases. Equal on two servers that hold
/// the same.
#[cfg(feature = "client")]
pub fn picture(client: &mut Client) -> Vec<String> {
    let mut keys: Vec<String> = client.run("KEYS *").list().iter().map(Reply::text).collect();
    keys.sort();
    keys.iter()
        .map(|key| {
            let digest = client.run(&format!("DEBUG DIGEST-VALUE {key}"));
            format!("{key}: {digest:?}, until {:?}", client.run(&format!("PEXPIRETIME {key}")))
        })
        .collect()
}
