//! What the parts of the benchmark found: tables, and rows that have a target.

use crate::sample::Sample;
use crate::table::Table;

#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) targets: Vec<Target>,
    pub(crate) tables: Vec<Table>,
    pub(crate) pictures: Vec<String>,
    /// What was left out, and what makes the figures doubtful.
    pub(crate) remarks: Vec<String>,
    spreads: Sample,
}

/// One line of the contract's list: a figure beside its target.
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) corral: String,
    pub(crate) against: String,
    pub(crate) figure: String,
    pub(crate) target: &'static str,
    pub(crate) met: bool,
}

impl Findings {
    pub(crate) fn remark(&mut self, remark: impl Into<String>) {
        let remark = remark.into();
        println!("  {remark}");
        self.remarks.push(remark);
    }

    pub(crate) fn target(
        &mut self,
        what: impl Into<String>,
        corral: impl Into<String>,
        against: impl Into<String>,
        figure: impl Into<String>,
        target: &'static str,
        met: bool,
    ) {
        let (what, corral, against, figure) = (what.into(), corral.into(), against.into(), figure.into());
        self.targets.push(Target { what, corral, against, figure, target, met });
    }

    pub(crate) fn table(&mut self, table: Table) {
        println!("\n{}\n{}", table.title, table.text());
        if !table.note.is_empty() {
            println!("{}", table.note);
        }
        self.tables.push(table);
    }

    /// Repeats of one measurement, for the judgement on the machine.
    pub(crate) fn note_spread(&mut self, sample: &Sample) {
        if sample.spread().is_finite() {
            self.spreads.add(sample.spread());
        }
    }

    /// The middle half of the repeats of most measurements lay within this part of their median.
    pub(crate) fn usual_spread(&self) -> Option<f64> {
        (!self.spreads.is_empty()).then(|| self.spreads.share(0.75))
    }

    pub(crate) fn summary(&self) -> Table {
        let mut table = Table::new("Targets", &["what", "Corral", "against", "figure", "target", ""]);
        for row in &self.targets {
            let verdict = if row.met { "met" } else { "MISSED" };
            table.row([&row.what, &row.corral, &row.against, &row.figure, row.target, verdict]);
        }
        table
    }
}
