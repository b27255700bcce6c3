//! The cold start's picture: builds a second and keys that are warm, over time, a line for each way. Drawn from the lab's
//! figures, on linear axes, once for light and once for dark pages.

use std::fmt::Write as _;

use anyhow::{bail, Context, Result};

use crate::figures::Section;
use crate::picture::{begin, text, Theme, WIDTH};

/// One way: what it is called, and its figures over time.
struct Way<'a> {
    name: &'a str,
    queries: &'a str,
    colour: &'static str,
    warm: Vec<(f64, f64)>,
    rate: Vec<(f64, f64)>,
}

pub(crate) fn draw(summary: &Section<'_>, over_time: &Section<'_>, theme: &Theme) -> Result<String> {
    let (summaries, moments) = (summary.rows(), over_time.rows());
    let colours = [theme.theirs, theme.other, theme.ours];
    let ways = summaries.iter().zip(colours).enumerate().map(|(number, (row, colour))| {
        let [name, _, queries, ..] = row.as_slice() else { bail!("not a row: {row:?}") };
        let column = |column: usize| {
            let points = moments.iter().filter_map(|moment| {
                let (second, figure) = (moment.first()?, moment.get(column).filter(|figure| !figure.is_empty())?);
                Some(number_of(second).and_then(|second| Ok((second, number_of(figure)?))))
            });
            points.collect::<Result<Vec<_>>>()
        };
        Ok(Way { name, queries, colour, warm: column(2 * number + 1)?, rate: column(2 * number + 2)? })
    });
    let ways: Vec<Way> = ways.collect::<Result<_>>()?;
    let seconds = moments.last().and_then(|moment| moment.first()).context("no moments")?;
    let title = format!("An emptied cache, and {} clients", summary.note_number()?);
    let top = TOP + ROW * ways.len() as u32 + GAP;
    let height = top + 2 * PANEL + BELOW;
    let mut svg = begin(&title, height, theme)?;
    for (at, way) in (0..).zip(&ways) {
        let y = TOP + at * ROW;
        let weight = if way.colour == theme.ours { "font-weight=\"700\"" } else { "" };
        writeln!(svg, "<rect x=\"0\" y=\"{y}\" width=\"14\" height=\"14\" rx=\"2\" fill=\"{}\"/>", way.colour)?;
        text(&mut svg, 22, y + 13, theme.ink, weight, way.name)?;
        let queries = format!("{} queries at once", way.queries);
        text(&mut svg, WIDTH, y + 13, theme.ink, &format!("text-anchor=\"end\" {weight}"), &queries)?;
    }
    let seconds = number_of(seconds)?;
    let rates: Vec<_> = ways.iter().map(|way| (way.colour, way.rate.as_slice())).collect();
    panel(&mut svg, top, "Builds a second", &rates, seconds, theme)?;
    let warm: Vec<_> = ways.iter().map(|way| (way.colour, way.warm.as_slice())).collect();
    panel(&mut svg, top + PANEL, "Keys that are warm", &warm, seconds, theme)?;
    text(&mut svg, 0, height - 8, theme.faint, "font-size=\"13\"", &summary.when()?)?;
    svg += "</svg>\n";
    Ok(svg)
}

/// One figure of every way over the same seconds.
fn panel(
    svg: &mut String,
    top: u32,
    title: &str,
    lines: &[(&str, &[(f64, f64)])],
    seconds: f64,
    theme: &Theme,
) -> Result<()> {
    text(svg, 0, top + 16, theme.faint, "font-weight=\"600\"", title)?;
    let most = lines.iter().flat_map(|(_, points)| points.iter().map(|point| point.1)).fold(1.0, f64::max);
    let (up, across) = (step(most), step(seconds));
    let highest = (most / up).ceil() * up;
    let (bottom, plot) = (f64::from(top + 28 + PLOT), f64::from(WIDTH - LEFT));
    let y_of = |figure: f64| bottom - figure / highest * f64::from(PLOT);
    let x_of = |second: f64| f64::from(LEFT) + second / seconds * plot;
    let mut figure = 0.0;
    while figure <= highest {
        let y = y_of(figure);
        writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{WIDTH}\" stroke=\"{}\" stroke-opacity=\"0.3\" fill=\"none\"/>",
            theme.faint
        )?;
        text(
            svg,
            LEFT - 6,
            (y + 5.0) as u32,
            theme.faint,
            "font-size=\"13\" text-anchor=\"end\"",
            &with_commas(figure),
        )?;
        figure += up;
    }
    let mut second = 0.0;
    while second <= seconds {
        // At the right edge a centred number would be cut off.
        let anchor = if second + across > seconds { "end" } else { "middle" };
        let words = if second == 0.0 { "0 s".to_owned() } else { with_commas(second) };
        let style = format!("font-size=\"13\" text-anchor=\"{anchor}\"");
        text(svg, x_of(second) as u32, bottom as u32 + 17, theme.faint, &style, &words)?;
        second += across;
    }
    for (colour, points) in lines {
        let path: Vec<String> =
            points.iter().map(|(second, figure)| format!("{:.1} {:.1}", x_of(*second), y_of(*figure))).collect();
        writeln!(svg, "<path d=\"M{}\" stroke=\"{colour}\" stroke-width=\"2.5\" fill=\"none\"/>", path.join("L"))?;
    }
    Ok(())
}

/// The distance between two numbers on an axis: 1, 2 or 5 times a power of ten, some four of them.
fn step(longest: f64) -> f64 {
    let rough = (longest / 4.0).max(1.0);
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| power * factor >= rough).unwrap_or(10.0);
    power * factor
}

fn with_commas(number: f64) -> String {
    let number = number as u64;
    match (number / 1000, number % 1000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

fn number_of(figure: &str) -> Result<f64> {
    figure.replace(',', "").parse().with_context(|| format!("{figure:?} is no number"))
}

const TOP: u32 = 40;
const ROW: u32 = 22;
const GAP: u32 = 8;
const PANEL: u32 = 190;
const PLOT: u32 = 130;
const LEFT: u32 = 58;
const BELOW: u32 = 24;
