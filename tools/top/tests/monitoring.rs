//! The exporter's script runs on a real server; every metric that dashboard and alerts use is one it returns.
//! `ops/prometheus/prometheus.yml` turns `redis_script_values{key="corral_hits"}` into `corral_hits`.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::server::{connect, Server};

#[test]
fn the_script_returns_every_number_of_info() {
    let server = Server::start();
    let values = script_values(&server);
    let info: String = redis::cmd("INFO").arg("corral").query(&mut connect(&server)).unwrap();
    let fields: BTreeSet<&str> = info.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    assert!(fields.len() > 15, "{info}");
    assert_eq!(values.keys().map(String::as_str).collect::<BTreeSet<_>>(), fields);
    for (name, value) in &values {
        assert!(value.parse::<f64>().is_ok(), "{name} is {value}");
    }
}

#[test]
fn the_script_returns_nothing_from_a_server_without_the_module() {
    assert_eq!(script_values(&Server::without_module(None)), HashMap::new());
}

#[test]
fn dashboard_and_alerts_use_metrics_that_exist() {
    let server = Server::start();
    let _: () =
        redis::cmd("CONFIG").arg("SET").arg("corral.groups").arg("reports max 1").query(&mut connect(&server)).unwrap();
    let exported = script_values(&server).into_keys();
    // As prometheus.yml names them: the group becomes a label.
    let names: BTreeSet<String> = exported.map(|name| name.replace("corral_group_reports_", "corral_group_")).collect();
    let dashboard: serde_json::Value = serde_json::from_str(&ops("grafana/corral.json")).unwrap();
    let mut queries = Vec::new();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap_or_else(|| panic!("{} has no queries", panel["title"]));
        queries.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    assert!(panels.len() >= 8 && queries.len() >= panels.len());
    let alerts = ops("prometheus/alerts.yml");
    assert!(alerts.matches("- alert:").count() >= 4);
    queries.push(alerts);
    for query in &queries {
        for used in metrics(query) {
            assert!(names.contains(&used), "{used} is not exported: {query}");
        }
    }
    assert!(queries.iter().flat_map(|query| metrics(query)).count() >= 15);
}

/// As redis_exporter asks: no keys, one argument.
fn script_values(server: &Server) -> HashMap<String, String> {
    redis::cmd("EVAL").arg(ops("prometheus/corral.lua")).arg(0).arg(0).query(&mut connect(server)).unwrap()
}

/// The words of a query that name a metric of the module.
fn metrics(query: &str) -> Vec<String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("corral_")).map(str::to_owned).collect()
}

fn ops(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("ops").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
