//! README's picture: what each strategy asks of the database, and how long its slowest request takes, on linear axes. Drawn
//! from the demo's figures, once for light and once for dark pages.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::figures::Section;

/// One strategy.
struct Shown<'a> {
    name: &'a str,
    queries: f64,
    slowest: &'a str,
}

/// The colours of a page.
pub(crate) struct Theme {
    pub(crate) ink: &'static str,
    pub(crate) faint: &'static str,
    pub(crate) theirs: &'static str,
    pub(crate) other: &'static str,
    pub(crate) ours: &'static str,
}

pub(crate) const LIGHT: Theme =
    Theme { ink: "#1f2328", faint: "#59636e", theirs: "#D55E00", other: "#0072B2", ours: "#009E73" };
pub(crate) const DARK: Theme =
    Theme { ink: "#f0f6fc", faint: "#9198a1", theirs: "#F0883E", other: "#58A6FF", ours: "#2CC295" };

pub(crate) fn draw(demo: &Section<'_>, theme: &Theme) -> Result<String> {
    let rows = demo.rows();
    let shown = rows.iter().map(|row| {
        let [name, queries, _, _, slowest, ..] = row.as_slice() else { anyhow::bail!("not a row: {row:?}") };
        Ok(Shown { name, queries: queries.replace(',', "").parse()?, slowest })
    });
    let shown: Vec<Shown> = shown.collect::<Result<_>>()?;
    let title = format!("A cached report expires, {} clients ask", demo.note_number()?);
    let height = TOP + 2 * (PANEL + shown.len() as u32 * ROW) + BELOW;
    let mut svg = begin(&title, height, theme)?;
    let queries = |shown: &Shown| (shown.queries, count(shown.queries));
    let slowest = |shown: &Shown| seconds(shown.slowest).map(|time| (time, short(time)));
    let bars: Vec<(f64, String)> = shown.iter().map(queries).collect();
    let top = panel(&mut svg, TOP, "Queries against the database, worst expiry", &shown, &bars, theme)?;
    let bars: Vec<(f64, String)> = shown.iter().map(slowest).collect::<Result<_>>()?;
    let top = panel(&mut svg, top, "Slowest request", &shown, &bars, theme)?;
    text(&mut svg, 0, top + 14, theme.faint, "font-size=\"13\"", &demo.when()?)?;
    svg += "</svg>\n";
    Ok(svg)
}

/// An empty picture with its title.
pub(crate) fn begin(title: &str, height: u32, theme: &Theme) -> Result<String> {
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, -apple-system, \
         'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\" font-size=\"15\" role=\"img\">\n<title>{title}</title>"
    )?;
    text(&mut svg, 0, 22, theme.ink, "font-size=\"18\" font-weight=\"700\"", title)?;
    Ok(svg)
}

/// One figure of every strategy: name and figure above its bar. Gives back where the next thing goes.
fn panel(
    svg: &mut String,
    top: u32,
    title: &str,
    shown: &[Shown],
    bars: &[(f64, String)],
    theme: &Theme,
) -> Result<u32> {
    text(svg, 0, top + 16, theme.faint, "font-weight=\"600\"", title)?;
    let longest = bars.iter().map(|(size, _)| *size).fold(f64::MIN_POSITIVE, f64::max);
    for (at, (shown, (size, figure))) in (0..).zip(shown.iter().zip(bars)) {
        let y = top + PANEL - 12 + at * ROW;
        let is_ours = shown.name.starts_with("Corral");
        let weight = if is_ours { "font-weight=\"700\"" } else { "" };
        text(svg, 0, y + 14, theme.ink, weight, shown.name)?;
        text(svg, WIDTH, y + 14, theme.ink, &format!("text-anchor=\"end\" {weight}"), figure)?;
        // What is there at all is seen.
        let width = (size / longest * f64::from(WIDTH)).max(2.0);
        let colour = if is_ours { theme.ours } else { theme.theirs };
        writeln!(
            svg,
            "<rect x=\"0\" y=\"{}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>",
            y + 20
        )?;
    }
    Ok(top + PANEL + ROW * shown.len() as u32)
}

pub(crate) fn text(svg: &mut String, x: u32, y: u32, colour: &str, style: &str, words: &str) -> Result<()> {
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\" {style}>{}</text>", words.replace('&', "&amp;"))?;
    Ok(())
}

/// `12.3 ms` and `4.5 s` as seconds.
fn seconds(figure: &str) -> Result<f64> {
    let (number, unit) = figure.split_once(' ').with_context(|| format!("{figure:?} has no unit"))?;
    let number: f64 = number.parse()?;
    Ok(if unit == "ms" { number / 1000.0 } else { number })
}

fn short(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.1} s")
    }
}

fn count(queries: f64) -> String {
    if queries == 1.0 {
        "1 query".to_owned()
    } else {
        format!("{queries:.0} queries")
    }
}

/// A telephone's width: nothing is scaled down there.
pub(crate) const WIDTH: u32 = 420;
const TOP: u32 = 36;
const PANEL: u32 = 42;
const ROW: u32 = 44;
const BELOW: u32 = 22;
