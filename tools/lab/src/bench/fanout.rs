//! One fill for many waiters, beside PUBLISH of the same bytes to as many subscribers.

mod large; // values of a mebibyte
mod round; // one fill, or one PUBLISH

use anyhow::Result;

use crate::bench::findings::Findings;
use crate::bench::scale::Scale;
use crate::facts::{memory, Facts};
use crate::interrupt;
use crate::options::Bench;
use crate::progress::Progress;
use crate::sample::Sample;
use crate::server::Server;
use crate::table::{count, duration, mebibytes, times, Table};

use round::Flock;

pub(crate) use large::measure as measure_large;

/// Repeats with one number of waiters.
#[derive(Default)]
pub(crate) struct Fanout {
    pub(crate) first: Sample,
    pub(crate) median: Sample,
    pub(crate) last: Sample,
    ping: Sample,
    processor: Sample,
}

pub(crate) struct Pair {
    pub(crate) waiters: usize,
    pub(crate) corral: Fanout,
    pub(crate) publish: Fanout,
    /// FILL's last reply as a part of PUBLISH's in the same round.
    ratio: Sample,
}

pub(crate) async fn measure(options: &Bench, scale: &Scale, findings: &mut Findings) -> Result<Vec<Pair>> {
    let progress = Progress::begin("fan-out");
    let header = ["waiters", "", "first", "median", "last", "longest PING", "server CPU", "spread of last"];
    let mut table = Table::new("One fill for many waiters, one PUBLISH to as many subscribers", &header);
    let mut memory_table = Table::new("Memory of waiters", &["waiters", "parked, for each", "peak during the fill"]);
    let mut pairs = Vec::new();
    for &waiters in &scale.waiters {
        let server = Server::start(&options.subject).await?;
        let mut flock = Flock::connect(&server, waiters).await?;
        let mut pair =
            Pair { waiters, corral: Fanout::default(), publish: Fanout::default(), ratio: Sample::default() };
        let before = memory(&mut flock.asker).await?;
        // The first round warms up both, and shows the peak of memory before any PUBLISH.
        for round in 0..=scale.repeats {
            interrupt::check()?;
            progress.tell(&format!("{} waiters, round {round}", count(waiters as f64)));
            flock.park().await?;
            let parked = memory(&mut flock.asker).await?;
            let fill = flock.fill().await?;
            if round == 0 {
                let peak = Facts::ask(&mut flock.asker, "memory").await?.number("used_memory_peak")?;
                memory_table.row([
                    count(waiters as f64),
                    format!("{} B", count((parked - before) / waiters as f64)),
                    format!("{} over parked", mebibytes((peak - parked).max(0.0))),
                ]);
            }
            flock.subscribe().await?;
            let publish = flock.publish().await?;
            flock.unsubscribe().await?;
            if round > 0 {
                pair.ratio.add(fill.replies.most() / publish.replies.most());
                pair.corral.add(fill);
                pair.publish.add(publish);
            }
        }
        for (name, one) in [("FILL", &pair.corral), ("PUBLISH", &pair.publish)] {
            findings.note_spread(&one.last);
            let cells = [&one.first, &one.median, &one.last, &one.ping, &one.processor].map(|s| duration(s.median()));
            let spread = format!("{:.0} %", one.last.spread() * 100.0);
            let head = [count(waiters as f64), name.to_owned()];
            table.row(head.into_iter().chain(cells).chain([spread]));
        }
        pairs.push(pair);
    }
    findings.table(table.with_note(&format!(
        "Medians of {} rounds, FILL and PUBLISH in turns on the same connections. Times from just before the command is \
         sent until one thread has read the reply. {VALUE} bytes. Longest PING: of a bystander that asks all the time. The \
         target compares the last replies of the same round.",
        scale.repeats
    )));
    findings.table(memory_table.with_note(
        "Parked, for each: what the server uses more than with the same connections before their first command, so \
         their query buffers are in it.",
    ));
    judge(&pairs, findings);
    Ok(pairs)
}

fn judge(pairs: &[Pair], findings: &mut Findings) {
    let Some(most) = pairs.last() else { return };
    let (corral, publish) = (&most.corral, &most.publish);
    let waiters = count(most.waiters as f64);

    let ratio = most.ratio.median();
    findings.target(
        format!("{waiters} waiters, one fill: last reply"),
        duration(corral.last.median()),
        format!("PUBLISH: {}", duration(publish.last.median())),
        times(ratio),
        "≤ 1.25 ×",
        ratio <= 1.25,
    );
    if let [.., fewer, _] = pairs {
        let each = |one: &Fanout, pair: &Pair| one.last.median() / pair.waiters as f64;
        let growth = |many: f64, few: f64| format!("{:.1} µs beside {:.1} µs", many * 1e6, few * 1e6);
        let (many, few) = (each(corral, most), each(&fewer.corral, fewer));
        findings.target(
            format!("the same for each waiter: {waiters} beside {}", count(fewer.waiters as f64)),
            growth(many, few),
            format!("PUBLISH: {}", growth(each(publish, most), each(&fewer.publish, fewer))),
            times(many / few),
            // A processor's caches hold a thousand clients and not ten thousand, for PUBLISH as well.
            "linear (≤ 2 ×; quadratic: 10 ×)",
            many / few <= 2.0,
        );
    }
    let ping = corral.ping.median();
    findings.target(
        "longest PING of a bystander meanwhile",
        duration(ping),
        format!("PUBLISH: {}", duration(publish.ping.median())),
        duration(ping),
        "≤ 10 ms",
        ping <= 0.010,
    );
    let ratio = corral.first.median() / publish.first.median();
    findings.target(
        "first waiter's reply",
        duration(corral.first.median()),
        format!("PUBLISH: {}", duration(publish.first.median())),
        times(ratio),
        "sooner",
        ratio < 1.0,
    );
}

impl Fanout {
    fn add(&mut self, round: round::Round) {
        self.first.add(round.replies.least());
        self.median.add(round.replies.median());
        self.last.add(round.replies.most());
        self.ping.add(round.longest_ping);
        self.processor.add(round.processor);
    }
}

const VALUE: usize = 100;
