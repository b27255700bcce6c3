//! Figures as lines, each with its name at its end.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{font, label, svg, AXIS, GRID, LOCK, OTHER, OURS, TEXT, TITLE};

/// What the picture shows, and what its axes count.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
}

pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) ink: Ink,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Whose line it is.
#[derive(Clone, Copy)]
pub(crate) enum Ink {
    Ours,
    Theirs,
    Other,
}

pub(crate) fn lines(shown: &Chart, lines: &[Line]) -> Result<String> {
    svg(shown.title, 300, |root| {
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let most = points().map(|point| point.0).fold(1.0, f64::max);
        let slowest = points().map(|point| point.1).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(root)
            .margin_right(126)
            .x_label_area_size(50)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..most, 0.0..slowest)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .x_labels(5)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| label(*y, slowest))
            .label_style(font(TEXT))
            .x_desc(shown.across)
            .y_desc(shown.up)
            .axis_desc_style(font(TEXT))
            .draw()?;
        let mut ends = Vec::new();
        for line in lines {
            let colour = match line.ink {
                Ink::Ours => OURS,
                Ink::Theirs => OTHER,
                Ink::Other => LOCK,
            };
            if let Some(end) = line.points.last() {
                ends.push((chart.backend_coord(end), line.name, colour));
            }
            // Among many, a point says nothing.
            if line.points.len() < FEW {
                chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            }
            chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?;
        }
        // From bottom to top, and none on another.
        ends.sort_by_key(|((_, y), ..)| std::cmp::Reverse(*y));
        let mut free = i32::MAX;
        for ((x, y), name, colour) in ends {
            let y = (y - TITLE as i32).min(free);
            free = y - TEXT as i32 - 3;
            let style = font(TEXT).color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(name, (x + 8, y), style))?;
        }
        Ok(())
    })
}

const FEW: usize = 20;
