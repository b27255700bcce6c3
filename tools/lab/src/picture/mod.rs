//! The charts, as SVG. Each has its title in it and linear axes, and can be read on a telephone.

mod bars; // one bar for each strategy
mod in_flight; // queries in flight over time
mod lines; // figures as lines

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::strategies::Strategy;

pub(crate) use bars::{bars, Bar};
pub(crate) use in_flight::in_flight;
pub(crate) use lines::{lines, Chart, Ink, Line};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Runs `draw` below the title on an empty picture. The errors of the drawing library name its backend: here they become
/// plain ones.
fn svg(title: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height + TITLE)).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("cannot draw: {error}"))?;
        root.draw(&Text::new(title.to_owned(), (4, 6), ("sans-serif", 20, FontStyle::Bold).into_font().color(&INK)))
            .map_err(|error| anyhow!("cannot draw: {error}"))?;
        draw(&root.margin(TITLE, 0, 0, 0)).map_err(|error| anyhow!("cannot draw: {error}"))?;
        root.present()?;
    }
    Ok(text)
}

/// A strategy's colour on a page.
pub(crate) fn css(strategy: Strategy) -> String {
    let RGBColor(red, green, blue) = colour(strategy);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn colour(strategy: Strategy) -> RGBColor {
    match strategy {
        Strategy::Corral(_) => OURS,
        Strategy::Plain => OTHER,
        _ => LOCK,
    }
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A number on an axis: decimals only where whole ones would repeat.
fn label(at: f64, axis: f64) -> String {
    let decimals = usize::from(axis < 8.0);
    format!("{at:.decimals$}")
}

/// Shown on a telephone of 420 pixels it is a fifth smaller than drawn. A size of 17 is 13.7 pixels.
const WIDTH: u32 = 480;
const TITLE: u32 = 34;
const TEXT: u32 = 17;
// From the palette of Okabe and Ito, which is told apart with every common colour blindness.
const OURS: RGBColor = RGBColor(0x00, 0x9E, 0x73);
const OTHER: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const LOCK: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
