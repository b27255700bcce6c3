//! The latency of requests by share: everyday requests on the left, the rare slow ones spread out to the right.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{bold, colour, font, svg, Area, Drawn, AXIS, GRID, INK};
use crate::measurements::Run;
use crate::table::duration;

/// The latency that each share of the requests stayed within: the further right, the rarer the requests.
pub(crate) fn latencies(runs: &[Run], query_time: Duration) -> Result<String> {
    svg(HEIGHT, |root| chart(runs, query_time, root))
}

fn chart(runs: &[Run], query_time: Duration, root: &Area<'_>) -> Drawn {
    let slowest = runs.iter().map(Run::slowest).max().unwrap_or_default();
    let top = millis(slowest).max(1000.0) * 2.0;
    let rarest = runs.iter().map(rarity_of_slowest).fold(3.0, f64::max) + 0.05;
    let mut chart = ChartBuilder::on(root)
        .margin_right(210)
        .margin_top(16)
        .x_label_area_size(48)
        .y_label_area_size(78)
        .build_cartesian_2d(Rarity(rarest), (0.05..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .y_label_formatter(&|y| if *y < 1000.0 { format!("{y} ms") } else { format!("{} s", y / 1000.0) })
        .label_style(font(16))
        .x_desc("share of the requests that were answered within this time")
        .y_desc("latency of a request")
        .axis_desc_style(font(16))
        .draw()?;

    let alone = millis(query_time);
    chart.draw_series(DashedLineSeries::new([(0.0, alone), (rarest, alone)], 6, 4, INK.stroke_width(1)))?;
    let label = format!("the query run by itself: {}", duration(query_time));
    let above = Pos::new(HPos::Left, VPos::Bottom);
    chart.draw_series([Text::new(label, (0.03, alone * 1.12), font(16).color(&INK).pos(above))])?;

    for run in runs {
        let colour = colour(run.strategy);
        let line = percentiles(run);
        chart.draw_series(line.last().map(|end| Circle::new(*end, 4, colour.filled())))?;
        chart.draw_series(LineSeries::new(line, colour.stroke_width(3)))?;
    }
    let ends: Vec<(i32, i32)> =
        runs.iter().map(|run| chart.backend_coord(&(rarity_of_slowest(run), millis(run.slowest())))).collect();
    for (run, (x, y)) in runs.iter().zip(apart(&ends)) {
        let label = format!("{}: {}", run.strategy.name(), duration(run.slowest()));
        let style = bold(16, colour(run.strategy)).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(label, (x + 10, y), style))?;
    }
    Ok(())
}

/// Moves labels at these places up or down until none covers another. The order from top to bottom stays.
fn apart(places: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&n| places.get(n).map(|place| place.1));
    let mut moved = places.to_vec();
    let mut lowest = i32::MIN / 2;
    for n in order {
        if let Some(place) = moved.get_mut(n) {
            place.1 = place.1.max(lowest + LABEL_HEIGHT);
            lowest = place.1;
        }
    }
    moved
}

/// Points of (rarity, latency). A rarity of 2 means one request in a hundred, of 3 one in a thousand.
fn percentiles(run: &Run) -> Vec<(f64, f64)> {
    let last = rarity_of_slowest(run);
    let mut points: Vec<(f64, f64)> = (0..POINTS)
        .map(|n| last * n as f64 / POINTS as f64)
        .map(|rarity| (rarity, millis(run.latency(1.0 - 10f64.powf(-rarity)))))
        .collect();
    points.push((last, millis(run.slowest())));
    points
}

fn rarity_of_slowest(run: &Run) -> f64 {
    (run.requests().max(1) as f64).log10()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The horizontal axis, from 0 to the rarity it holds, labelled with the share of requests that are less rare.
struct Rarity(f64);

impl Ranged for Rarity {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (value / self.0 * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        SHARES.iter().map(|(rarity, _)| *rarity).filter(|rarity| *rarity <= self.0).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.0
    }
}

impl ValueFormatter<f64> for Rarity {
    fn format(rarity: &f64) -> String {
        let share = SHARES.iter().find(|(at, _)| at == rarity);
        share.map_or_else(String::new, |(_, label)| (*label).to_owned())
    }
}

const HEIGHT: u32 = 440;
const POINTS: u32 = 500;
const LABEL_HEIGHT: i32 = 20;

/// Rarities worth a label.
const SHARES: [(f64, &str); 6] = [
    (0.0, "0 %"),
    (std::f64::consts::LOG10_2, "50 %"),
    (1.0, "90 %"),
    (2.0, "99 %"),
    (3.0, "99.9 %"),
    (4.0, "99.99 %"),
];
