//! Repeats of one measurement: their median, and how far apart they lie.

#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn median(&self) -> f64 {
        self.share(0.5)
    }

    pub(crate) fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The value that this share of the repeats stayed within.
    pub(crate) fn share(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The middle half of the repeats, as a part of the median: one outlier does not make a run noisy.
    pub(crate) fn spread(&self) -> f64 {
        (self.share(0.75) - self.share(0.25)) / self.median()
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts_and_not_the_order() {
        let sample: Sample = [9.0, 1.0, 5.0, 4.0, 6.0].into_iter().collect();
        assert_eq!((sample.least(), sample.median(), sample.most()), (1.0, 5.0, 9.0));
        assert_eq!(sample.spread(), 0.4);
        assert!(Sample::default().median().is_nan());
    }
}
