//! `CACHE.LEASES [COUNT n] [MINAGE ms] [GROUP name]`

use corral_core::error::Error;
use corral_core::fields;
use corral_core::lease::Lease;
use corral_core::node::report::LeaseReport;
use corral_core::options;
use corral_core::request::LeasesWanted;
use corral_core::time::{Clock, UnixMs};
use corral_server::command::{Command, Keys, Spec};
use corral_server::{Argv, Context, OpenKey};

use super::info::{holder, token_and_times};
use super::{error, with_options, FIRST};
use crate::memory;
use crate::module::Corral;

pub struct Leases;

impl Command for Leases {
    error!();

    const SPEC: Spec = Spec {
        name: c"CACHE.LEASES",
        flags: c"readonly admin",
        arity: -1,
        keys: Keys::None,
        acl: c"admin dangerous",
        summary: c"The live leases on this node, longest held first: to find stuck or contended rebuilds",
        complexity: c"O(N) where N is the number of leases returned",
        since: FIRST,
        tips: c"nondeterministic_output request_policy:all_nodes response_policy:special",
        args: || with_options(vec![], &options::LEASES),
    };

    fn run(context: &Context, args: Argv) -> Result<(), Error> {
        let wanted = LeasesWanted::parse(args.from(0))?;
        let now = memory::moment().now();
        let reports = memory::with(|memory| memory.node.leases(&wanted, now));
        let home = context.db();
        let live: Vec<(LeaseReport, Lease)> =
            reports.into_iter().filter_map(|report| look(context, report, now)).collect();
        context.select(home);
        context.reply_array(live.len());
        for (report, lease) in &live {
            describe(context, report, lease, now);
        }
        Ok(())
    }
}

/// The lease as its key has it by now; `None` if it is not there any more.
fn look(context: &Context, report: LeaseReport, now: UnixMs) -> Option<(LeaseReport, Lease)> {
    if !context.select(report.db) {
        return None;
    }
    let name = context.string(&report.name);
    let mut open = OpenKey::<Corral>::read(context, name.as_key());
    let lease = open.entry()?.live_lease(Clock::at(now)).filter(|lease| lease.token == report.token)?.clone();
    Some((report, lease))
}

fn describe(context: &Context, report: &LeaseReport, lease: &Lease, now: UnixMs) {
    context.reply_map(fields::OF_LISTED_LEASE.len());
    context.reply_word(fields::KEY.name);
    context.reply_bytes(&report.name);
    context.reply_word(fields::DB.name);
    context.reply_count(u64::from(report.db));
    token_and_times(context, lease, now);
    context.reply_word(fields::WAITERS.name);
    context.reply_count(u64::from(report.waiters));
    context.reply_word(fields::HOLDER.name);
    holder(context, Some(report.holder));
    context.reply_word(fields::GROUP.name);
    context.reply_bytes(&report.group);
}
