//! Calls that are refused, the same table as on a server: a clear error, and nothing changed in the keyspace or the node.

use corral_testkit::story::{fits, rows, shown, words, Stage};
use corral_testkit::{Reply, Stock};

use super::stage::NodeStage;

const TABLE: &str = include_str!("../../../../tests/data/bad-input.txt");

fn run(stage: &mut NodeStage, words: &[Vec<u8>]) -> Reply {
    stage.send("a", words);
    stage.reply("a").unwrap()
}

/// One key of every kind; of other types the module knows no more than that they are none of its own.
fn furnish(stage: &mut NodeStage) -> Stock {
    Stock::furnish_by(|line| {
        let words = words(line, |_| Err("no placeholders".to_owned())).unwrap();
        match words[0].as_slice() {
            b"HSET" | b"SADD" | b"ZADD" | b"XADD" => {
                stage.world.set_other_at(&(0, words[1].clone()));
                Reply::Number(1)
            }
            _ => run(stage, &words),
        }
    })
}

/// What a call could have changed besides the keyspace.
fn counted(stage: &NodeStage) -> [u64; 5] {
    let node = &stage.world.node;
    let counters = &node.counters;
    [counters.leases_granted, node.live_leases(), node.waiters(), counters.fills, counters.failures]
}

#[test]
fn a_refused_call_has_a_clear_error_and_changes_nothing() {
    let mut stage = NodeStage::new();
    let stock = furnish(&mut stage);
    let before = (stage.world.keys.clone(), counted(&stage));
    let token = |name: &str| match name {
        "held" => Ok(stock.held.to_string().into_bytes()),
        "forced" => Ok(stock.forced.to_string().into_bytes()),
        _ => Err(format!("no token {name}")),
    };
    let mut wrong = Vec::new();
    let rows = rows(TABLE, token).unwrap();
    for row in &rows {
        let got = shown(&run(&mut stage, &row.words));
        if !fits(&row.expected, &got) {
            wrong.push(format!("line {}: {}\n  expected {}\n  got      {got}", row.number, row.call, row.expected));
        }
        assert_eq!(stage.world.keys, before.0, "changed by {}, which was answered {got}", row.call);
        assert_eq!(counted(&stage), before.1, "counted by {}, which was answered {got}", row.call);
    }
    println!("{} bad calls on the node", rows.len());
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}
