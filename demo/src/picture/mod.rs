//! The two charts, as SVG. Each strategy has a panel or a line of its own on axes that are the same for all,
//! and its name stands beside it: nobody needs the colours to tell them apart.

mod in_flight; // how many queries ran at once, over time
mod latencies; // how long a request took, by share of the requests

use anyhow::{anyhow, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::strategies::Strategy;

pub(crate) use self::in_flight::in_flight;
pub(crate) use self::latencies::latencies;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Runs `draw` on an empty picture. The errors of the drawing library name its backend: here they become plain ones.
fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&root).map_err(|error| anyhow!("cannot draw: {error}"))?;
        root.present()?;
    }
    Ok(text)
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn bold(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size, FontStyle::Bold).into_font().color(&colour)
}

/// From the palette of Okabe and Ito, which is told apart with every common colour blindness.
pub(crate) fn colour(strategy: Strategy) -> RGBColor {
    match strategy {
        Strategy::Plain => RGBColor(0xD5, 0x5E, 0x00),
        Strategy::SetNx => RGBColor(0x00, 0x72, 0xB2),
        Strategy::Corral => RGBColor(0x00, 0x9E, 0x73),
    }
}

const WIDTH: u32 = 1000;
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const AXIS: RGBColor = RGBColor(0x88, 0x88, 0x88);
const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
