//! The charts, as SVG.

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::fanout::Pair;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The last reply by number of waiters.
pub(crate) fn fanout(pairs: &[Pair]) -> Result<String> {
    svg(360, |root| {
        let ms = |seconds: f64| seconds * 1000.0;
        let most = pairs.iter().map(|pair| pair.waiters).max().unwrap_or(100) as f64;
        let all = pairs.iter().flat_map(|pair| [pair.corral.last.median(), pair.publish.last.median()]);
        let slowest = ms(all.fold(0.001, f64::max));
        let mut chart = ChartBuilder::on(root)
            .margin_right(190)
            .margin_top(16)
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d((90.0..most).log_scale(), (0.1..slowest * 1.5).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y} ms"))
            .label_style(font(16))
            .x_desc("clients that wait")
            .y_desc("last and first reply")
            .axis_desc_style(font(16))
            .draw()?;
        type Select = fn(&Pair) -> f64;
        let lines: [(&str, RGBColor, Select); 4] = [
            ("FILL, last", CORRAL, |pair| pair.corral.last.median()),
            ("FILL, first", CORRAL, |pair| pair.corral.first.median()),
            ("PUBLISH, last", OTHER, |pair| pair.publish.last.median()),
            ("PUBLISH, first", OTHER, |pair| pair.publish.first.median()),
        ];
        let mut ends = Vec::new();
        for (name, colour, figure) in lines {
            let points: Vec<_> = pairs.iter().map(|pair| (pair.waiters as f64, ms(figure(pair)))).collect();
            if let Some(end) = points.last() {
                ends.push((chart.backend_coord(end), name, colour));
            }
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
        // From top to bottom, and none on another.
        ends.sort_by_key(|((_, y), ..)| *y);
        let mut free = 0;
        for ((x, y), name, colour) in ends {
            free = y.max(free);
            let style = font(16).color(&colour).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(name, (x + 10, free), style))?;
            free += 20;
        }
        Ok(())
    })
}

/// A line of the chart of bars: a name, and its figures for the two shades.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) ours: bool,
}

/// Bars on a logarithmic axis: the light end is the 99th percentile, the dark one the median.
pub(crate) fn bars(bars: &[Bar]) -> Result<String> {
    svg(60 + BAR * bars.len() as u32, |root| {
        let longest = bars.iter().map(|bar| bar.p99_ms).fold(1.0, f64::max) * 3.0;
        let bottom = bars.len() as f64;
        let mut chart = ChartBuilder::on(root)
            .margin_right(20)
            .x_label_area_size(48)
            .y_label_area_size(LEFT)
            .build_cartesian_2d((SHORTEST..longest).log_scale(), bottom..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .y_labels(0)
            .x_label_formatter(&|x| format!("{x} ms"))
            .label_style(font(15))
            .x_desc("wait beyond the build: median (dark) and 99th percentile (light)")
            .axis_desc_style(font(15))
            .draw()?;
        for (row, bar) in bars.iter().enumerate() {
            let (top, low) = (row as f64 + 0.2, row as f64 + 0.8);
            let colour = if bar.ours { CORRAL } else { OTHER };
            let (p99, median) = (bar.p99_ms.max(SHORTEST * 1.02), bar.median_ms.max(SHORTEST * 1.02));
            chart.draw_series([Rectangle::new([(SHORTEST, top), (p99, low)], colour.mix(0.35).filled())])?;
            chart.draw_series([Rectangle::new([(SHORTEST, top), (median, low)], colour.filled())])?;
            let (x, y) = chart.backend_coord(&(p99, row as f64 + 0.5));
            let label = format!("{:.1} / {:.1} ms", bar.median_ms, bar.p99_ms);
            root.draw(&Text::new(label, (x + 6, y), font(15).pos(Pos::new(HPos::Left, VPos::Center))))?;
            let name = font(15).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(bar.name.clone(), (LEFT as i32 - 8, y), name))?;
        }
        Ok(())
    })
}

/// Runs `draw` on an empty picture. The errors of the drawing library name its backend: here they become plain ones.
fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("cannot draw: {error}"))?;
        draw(&root).map_err(|error| anyhow!("cannot draw: {error}"))?;
        root.present()?;
    }
    Ok(text)
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

const WIDTH: u32 = 900;
const LEFT: u32 = 250;
const BAR: u32 = 34;
const SHORTEST: f64 = 0.05;
// From the palette of Okabe and Ito, which is told apart with every common colour blindness.
const CORRAL: RGBColor = RGBColor(0x00, 0x9E, 0x73);
const OTHER: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
