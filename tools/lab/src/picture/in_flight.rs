//! Queries in flight over time: one panel for each run, on the same axes.

use std::time::Duration;

use anyhow::Result;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{colour, font, label, svg, Area, Drawn, AXIS, GRID, TEXT, WIDTH};
use crate::demo::Run;
use crate::table::duration;

type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The axes that all panels share: the longest run and the largest herd fit.
struct Axes {
    seconds: f64,
    queries: f64,
}

pub(crate) fn in_flight(runs: &[Run]) -> Result<String> {
    let axes = Axes {
        seconds: runs.iter().map(|run| run.elapsed.as_secs_f64()).fold(1.0, f64::max) * 1.01,
        queries: runs.iter().map(Run::most_in_flight).max().unwrap_or(1).max(4) as f64 * 1.15,
    };
    svg("Queries in flight on the database", PANEL_HEIGHT * runs.len() as u32, |root| {
        let panels = root.split_evenly((runs.len(), 1));
        runs.iter().zip(&panels).try_for_each(|(run, area)| panel(run, area, &axes))
    })
}

fn panel(run: &Run, area: &Area<'_>, axes: &Axes) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_right(RIGHT)
        .margin_top(30)
        .x_label_area_size(BELOW)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..axes.seconds, 0.0..axes.queries)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(7)
        .y_labels(5)
        .x_label_formatter(&|x| label(*x, axes.seconds))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(font(TEXT))
        .x_desc("seconds")
        .y_desc("queries")
        .axis_desc_style(font(TEXT))
        .draw()?;

    let end = run.elapsed.as_secs_f64();
    chart.draw_series([Rectangle::new([(end, 0.0), (axes.seconds, axes.queries)], SHADE.filled())])?;
    draw_run(run, axes.queries, &mut chart)?;

    let name = ("sans-serif", TEXT + 1, FontStyle::Bold).into_font().color(&colour(run.strategy));
    area.draw(&Text::new(run.strategy.name(), (LEFT as i32, 10), name))?;
    let style = font(TEXT).pos(Pos::new(HPos::Right, VPos::Top));
    area.draw(&Text::new(summary(run), ((WIDTH - RIGHT) as i32, 10), style))?;

    // One query is less than a pixel on an axis for hundreds, and a short run leaves room to look closer.
    let (left, _) = chart.backend_coord(&(end, 0.0));
    if run.most_in_flight() <= 2 && f64::from(left) < f64::from(WIDTH) * 0.5 && axes.queries > 20.0 {
        let corner = (left + 16, 36);
        let size = (WIDTH - RIGHT - corner.0 as u32 - 4, PANEL_HEIGHT - BELOW - 42);
        close_up(run, &area.clone().shrink(corner, size))?;
    }
    Ok(())
}

/// The same run with the few queries it has in full height.
fn close_up(run: &Run, area: &Area<'_>) -> Drawn {
    let end = run.elapsed.as_secs_f64();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin_right(8)
        .margin_top(22)
        .x_label_area_size(20)
        .y_label_area_size(24)
        .build_cartesian_2d(0.0..end, 0.0..CLOSE_UP_QUERIES)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(4)
        .y_labels(3)
        .x_label_formatter(&|x| label(*x, end))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(font(TEXT))
        .draw()?;
    draw_run(run, CLOSE_UP_QUERIES, &mut chart)?;
    area.draw(&Text::new("close up: each block is one query", (24, 4), font(TEXT)))?;
    Ok(())
}

fn draw_run(run: &Run, height: f64, chart: &mut Chart<'_>) -> Drawn {
    let colour = colour(run.strategy);
    for expiry in run.expiries.iter().map(Duration::as_secs_f64) {
        chart.draw_series(DashedLineSeries::new([(expiry, 0.0), (expiry, height)], 2, 3, MARK.stroke_width(1)))?;
    }
    let steps = staircase(run);
    chart.draw_series(AreaSeries::new(steps.iter().copied(), 0.0, colour.mix(0.35)))?;
    chart.draw_series(LineSeries::new(steps, colour.stroke_width(2)))?;
    Ok(())
}

fn summary(run: &Run) -> String {
    format!("{} at once, {}", run.most_in_flight(), duration(run.elapsed.as_secs_f64()))
}

/// The number of queries in flight as corners of a staircase.
fn staircase(run: &Run) -> Vec<(f64, f64)> {
    let mut corners = Vec::new();
    let mut height = 0.0;
    for (at, count) in run.in_flight() {
        corners.push((at.as_secs_f64(), height));
        height = count as f64;
        corners.push((at.as_secs_f64(), height));
    }
    corners.push((run.elapsed.as_secs_f64(), height));
    corners
}

const PANEL_HEIGHT: u32 = 200;
const LEFT: u32 = 58;
const RIGHT: u32 = 10;
const BELOW: u32 = 48;
const CLOSE_UP_QUERIES: f64 = 2.3;
const MARK: RGBColor = RGBColor(0x77, 0x77, 0x77);
const SHADE: RGBColor = RGBColor(0xF2, 0xF2, 0xF2);
