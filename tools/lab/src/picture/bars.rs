//! One bar for each strategy: how long, and how many builds it took. Short bars that cost a thousand builds are not short.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{colour, font, label, svg, AXIS, GRID, TEXT, WIDTH};
use crate::strategies::Strategy;
use crate::table::duration;

pub(crate) struct Bar {
    pub(crate) strategy: Strategy,
    pub(crate) dark_ms: f64,
    pub(crate) light_ms: f64,
    /// How many, in words.
    pub(crate) builds: String,
}

/// Above each bar its name and its figures, so that the bars have the whole width.
pub(crate) fn bars(title: &str, below: &str, bars: &[Bar]) -> Result<String> {
    svg(title, ROW * bars.len() as u32 + BELOW, |root| {
        let longest = bars.iter().map(|bar| bar.light_ms).fold(1.0, f64::max) * 1.02;
        let mut chart = ChartBuilder::on(root)
            .margin_left(SIDE)
            .margin_right(SIDE)
            .x_label_area_size(BELOW)
            .build_cartesian_2d(0.0..longest, bars.len() as f64..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .x_labels(6)
            .x_label_formatter(&|x| label(*x, longest))
            .label_style(font(TEXT))
            .x_desc(below)
            .axis_desc_style(font(TEXT))
            .draw()?;
        for (row, bar) in bars.iter().enumerate() {
            let (row, colour) = (row as f64, colour(bar.strategy));
            let (top, low) = (row + 0.5, row + 0.88);
            chart.draw_series([Rectangle::new([(0.0, top), (bar.light_ms, low)], colour.mix(0.35).filled())])?;
            chart.draw_series([Rectangle::new([(0.0, top), (bar.dark_ms, low)], colour.filled())])?;
            let (_, y) = chart.backend_coord(&(0.0, row + 0.28));
            // The coordinates are the picture's, and the title lies above this area.
            let y = y - super::TITLE as i32;
            let left = font(TEXT).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(bar.strategy.name(), (SIDE as i32, y), left))?;
            let seconds = |ms: f64| duration(ms / 1000.0);
            let figures = format!("{}; {} / {}", bar.builds, seconds(bar.dark_ms), seconds(bar.light_ms));
            let right = font(TEXT).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(figures, ((WIDTH - SIDE) as i32, y), right))?;
        }
        Ok(())
    })
}

const ROW: u32 = 46;
const BELOW: u32 = 50;
const SIDE: u32 = 12;
