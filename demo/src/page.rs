//! The report as one HTML file that needs nothing else: no script, no network, no fonts of its own.

use std::time::Duration;

use anyhow::Result;

use crate::database::Database;
use crate::measurements::Run;
use crate::options::Setting;
use crate::strategies::Strategy;
use crate::{picture, table};

pub(crate) fn html(setting: Setting, database: &Database, runs: &[Run]) -> Result<String> {
    Ok(TEMPLATE
        .replace("{style}", STYLE)
        .replace("{setting}", &setting_text(setting, database))
        .replace("{cards}", &cards(runs))
        .replace("{in_flight}", &picture::in_flight(runs)?)
        .replace("{latencies}", &picture::latencies(runs, database.query_time)?)
        .replace("{table}", &table_html(runs))
        .replace("{cut}", &cut_note(setting, runs)))
}

fn setting_text(setting: Setting, database: &Database) -> String {
    format!(
        "{clients} clients keep asking for the same report. Redis caches it for {ttl}; whenever the entry expires, \
         the report has to be built anew by a query over {rows} rows of a SQLite database, which takes {query} when \
         it runs by itself. The same herd came three times, each time with another way to deal with the expiry.",
        clients = setting.clients,
        ttl = seconds(setting.ttl),
        rows = table::count(database.rows),
        query = table::duration(database.query_time),
    )
}

/// The three strategies, and the number each of them is remembered by.
fn cards(runs: &[Run]) -> String {
    let card = |run: &Run| {
        format!(
            "<div class=\"card\" style=\"border-color:{colour}\"><h3 style=\"color:{colour}\">{name}</h3>\
             <p class=\"number\">{queries}</p><p>each time the entry expired; 99&nbsp;% of the requests were answered within \
             {p99}, the slowest after {max}</p><p class=\"steps\">{steps}.</p></div>",
            colour = css(run.strategy),
            name = run.strategy.name(),
            queries = queries(run),
            p99 = unbroken(run.latency(0.99)),
            max = unbroken(run.slowest()),
            steps = run.strategy.steps(),
        )
    };
    runs.iter().map(card).collect()
}

fn table_html(runs: &[Run]) -> String {
    let names: String = runs.iter().map(|run| format!("<th>{}</th>", run.strategy.name())).collect();
    let rows = table::rows(runs).into_iter().map(|row| {
        let figures: String = row.figures.iter().map(|figure| format!("<td>{figure}</td>")).collect();
        format!("<tr><th>{}</th>{figures}</tr>\n", row.what)
    });
    format!("<table>\n<tr><th></th>{names}</tr>\n{}</table>", rows.collect::<String>())
}

/// Says which runs did not get through all expiries: their figures stand for fewer of them.
fn cut_note(setting: Setting, runs: &[Run]) -> String {
    let cut: Vec<&str> = runs.iter().filter(|run| run.was_cut_short()).map(|run| run.strategy.name()).collect();
    if cut.is_empty() {
        return String::new();
    }
    format!(
        "No request began later than {} into a run, so {} saw fewer expiries; those that had begun were all \
         waited for and counted. ",
        seconds(setting.limit),
        cut.join(" and ")
    )
}

/// The number of queries that an expiry led to, with their unit.
fn queries(run: &Run) -> String {
    match run.fewest_and_most_queries() {
        (1, 1) => "exactly 1 query".to_owned(),
        (fewest, most) if fewest == most => format!("{most} queries"),
        (_, most) => format!("up to {most} queries"),
    }
}

/// The unit stays on the line of its number.
fn unbroken(time: Duration) -> String {
    table::duration(time).replace(' ', "&nbsp;")
}

/// A round time as people write it.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn css(strategy: Strategy) -> String {
    let colour = picture::colour(strategy);
    format!("#{:02x}{:02x}{:02x}", colour.0, colour.1, colour.2)
}

const TEMPLATE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>A cache stampede, and what ends it</title>
<style>{style}</style>
</head>
<body>
<h1>A cache stampede, and what ends it</h1>
<p>{setting}</p>
<div class=\"cards\">{cards}</div>
<h2>Queries in flight on the database</h2>
<p>Dotted lines: the cache entry expires. Grey: the run is over. All three panels have the same axes.
With plain cache-aside the entry may expire again while queries of the last expiry still run.</p>
{in_flight}
<h2>How long a request took</h2>
<p>Each line shows the time within which a share of the requests were answered; the last dot is the slowest of all.
The requests on the left found the report in the cache, those on the right met an expiry. Both scales are
logarithmic.</p>
{latencies}
<h2>In figures</h2>
{table}
<p class=\"note\">Clients, Redis and SQLite shared the processors of one machine, and the runs followed each other on
an emptied server. {cut}Every query was really run, and every answer was compared with the true report.
Latency is what a client saw, from asking until it had the report.
Extra commands are those to Redis beyond one for each request.</p>
</body>
</html>
";

const STYLE: &str = "
body { font-family: system-ui, sans-serif; color: #333; background: #fff; max-width: 1000px; margin: 2rem auto;
       padding: 0 1rem; line-height: 1.45; }
h1 { font-size: 1.8rem; margin-bottom: .3rem; } h2 { font-size: 1.25rem; margin: 2rem 0 .2rem; }
svg { width: 100%; height: auto; }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
.card { flex: 1 1 15rem; border-top: 5px solid; background: #f7f7f7; padding: .6rem 1rem; }
.card h3 { margin: 0; font-size: 1.05rem; } .card p { margin: .2rem 0; }
.number { font-size: 1.7rem; font-weight: 700; line-height: 1.1; } .steps, .note { font-size: .88rem; color: #555; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .3rem .7rem; border-bottom: 1px solid #ddd; }
th { text-align: left; font-weight: 600; } td, tr:first-child th { text-align: right; }
td { white-space: nowrap; font-variant-numeric: tabular-nums; }
";
