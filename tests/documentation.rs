//! What COMMAND says of every command: redis-cli's hints, proxies and cluster clients live by it.

use crate::harness::{Reply, Server};

/// Every command: its syntax, its flags, where its keys are, what it does to them, and since when.
const COMMANDS: [(&str, &str, &str, &str, &str); 21] = [
    (
        "CACHE.GETORLOCK key [LEASE ms] [BLOCK ms] [NOSTALE] [FORCE] [EARLY beta] [TIED] [NOTIFY] [GROUP name] [ONCE ms]",
        "module blocking fast",
        "1 1 1",
        "RW access update",
        "0.1.0",
    ),
    (
        "CACHE.MGETORLOCK numkeys key [key ...] [LEASE ms] [NOSTALE] [FORCE] [EARLY beta] [TIED] [NOTIFY] [GROUP name] [ONCE ms]",
        "module fast movablekeys",
        "0 0 0",
        "RW access update",
        "0.1.0",
    ),
    ("CACHE.GET key", "readonly module fast", "1 1 1", "RO access", "0.1.0"),
    ("CACHE.MGET key [key ...]", "readonly module fast", "1 -1 1", "RO access", "0.2.0"),
    ("CACHE.FILL key token value LABELS", "module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.TOUCH key token LABELS", "module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.FAIL key token message [BACKOFF ms]", "module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.PASS key token [PX ms]", "module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.RENEW key token ms [TIED]", "write module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.RELEASE key token", "module fast", "1 1 1", "RW access update", "0.1.0"),
    ("CACHE.SET key value LABELS [NX]", "write denyoom module fast", "1 1 1", "OW update", "0.1.0"),
    ("CACHE.INVALIDATE key [key ...]", "write module fast", "1 -1 1", "RW access update", "0.1.0"),
    ("CACHE.INVALIDATETAG n tag [tag ...] [SWR ms]", "write denyoom module fast", "0 0 0", "", "0.2.0"),
    ("CACHE.OUTDATE key version [PX ms]", "write denyoom module fast", "1 1 1", "RW access update", "0.2.0"),
    ("CACHE.INFO key", "readonly module fast", "1 1 1", "RO access", "0.1.0"),
    ("CACHE.TAGS tag [tag ...]", "readonly module fast", "0 0 0", "", "0.2.0"),
    ("CACHE.LEASES [COUNT n] [MINAGE ms] [GROUP name]", "readonly module admin", "0 0 0", "", "0.1.0"),
    ("CACHE.TOP [COUNT n] [BY WAIT | BUILD | GRANTS | SAVED]", "readonly module admin", "0 0 0", "", "0.2.0"),
    ("CACHE.VERSION", "readonly module loading stale fast", "0 0 0", "", "0.2.0"),
    ("CACHE.APPLY key header [value]", "write module", "1 1 1", "RW access update", "0.1.0"),
    (
        "CACHE.PROBE key",
        "write denyoom module skip_monitor skip_slowlog fast",
        "1 1 1",
        "RW access update",
        "0.2.0",
    ),
];

fn name(syntax: &str) -> &str {
    syntax.split(' ').next().unwrap()
}

#[test]
fn every_command_is_listed() {
    let server = Server::start();
    let mut client = server.client();
    let listed = client.run("COMMAND LIST FILTERBY MODULE corral");
    let mut listed: Vec<String> = listed.list().iter().map(|name| name.text().to_uppercase()).collect();
    let mut wanted: Vec<&str> = COMMANDS.iter().map(|(syntax, ..)| name(syntax)).collect();
    listed.sort();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
}

#[test]
fn command_info_has_the_arity_the_flags_and_the_keys() {
    let server = Server::start();
    let mut client = server.client();
    for (syntax, flags, positions, access, _) in COMMANDS {
        let name = name(syntax);
        let info = client.run(&format!("COMMAND INFO {name}")).list()[0].clone();
        let info = info.list();
        let words = |reply: &Reply| reply.list().iter().map(Reply::text).collect::<Vec<_>>();
        let mandatory = syntax.replace("LABELS", "").split(" [").next().unwrap().trim().split(' ').count() as i64;
        let is_open = syntax.contains('[') || syntax.contains("LABELS");
        assert_eq!(info[1].number(), if is_open { -mandatory } else { mandatory }, "arity of {name}");
        let (mut found, mut wanted) = (words(&info[2]), flags.split(' ').collect::<Vec<_>>());
        // Valkey's word for it since 8.1.
        found.iter_mut().filter(|flag| *flag == "skip_commandlog").for_each(|flag| *flag = "skip_slowlog".to_owned());
        found.sort();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "flags of {name}");
        let found = info[3..6].iter().map(|place| place.number().to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(found, positions, "keys of {name}");
        let specs = info[8].list();
        assert_eq!(specs.len(), usize::from(!access.is_empty()), "key specs of {name}");
        if let Some(spec) = specs.first() {
            assert_eq!(words(spec.field("flags")).join(" "), access, "access of {name}");
        }
    }
}

#[test]
fn command_getkeys_finds_the_keys_of_every_command() {
    let server = Server::start();
    let mut client = server.client();
    for (syntax, _, _, access, _) in COMMANDS {
        let (call, keys): (String, &[&str]) = match name(syntax) {
            "CACHE.MGETORLOCK" => ("CACHE.MGETORLOCK 3 a b c LEASE 5000 TIED".to_owned(), &["a", "b", "c"]),
            name @ ("CACHE.INVALIDATE" | "CACHE.MGET") => (format!("{name} a b c"), &["a", "b", "c"]),
            name @ ("CACHE.LEASES" | "CACHE.TOP") => (format!("{name} COUNT 1"), &[]),
            "CACHE.INVALIDATETAG" => ("CACHE.INVALIDATETAG 1 a".to_owned(), &[]),
            "CACHE.TAGS" => ("CACHE.TAGS a".to_owned(), &[]),
            // COMMAND GETKEYS takes no call of one word.
            "CACHE.VERSION" => continue,
            name => {
                let mandatory = syntax.split(" [").next().unwrap().split(' ').skip(2).filter(|word| *word != "LABELS");
                (format!("{name} a {}", mandatory.map(|_| "1").collect::<Vec<_>>().join(" ")), &["a"])
            }
        };
        if keys.is_empty() {
            assert!(client.run(&format!("COMMAND GETKEYS {call}")).error().contains("no key arguments"), "{call}");
            continue;
        }
        let found: Vec<String> =
            client.run(&format!("COMMAND GETKEYS {call}")).list().iter().map(Reply::text).collect();
        assert_eq!(found, keys, "{call}");
        for key in client.run(&format!("COMMAND GETKEYSANDFLAGS {call}")).list() {
            let flags: Vec<String> = key.list()[1].list().iter().map(Reply::text).collect();
            assert_eq!(flags.join(" "), access, "{call}");
        }
    }
}
