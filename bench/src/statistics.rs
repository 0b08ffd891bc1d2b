//! Repeated measurements in three numbers.

use std::time::Duration;

/// Values of one quantity, from least to greatest.
#[derive(Clone, Debug)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Takes the values in any order.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Takes durations, as milliseconds.
    pub fn milliseconds(values: &[Duration]) -> Self {
        Self::new(values.iter().map(|value| value.as_secs_f64() * 1000.0))
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least.
    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The greatest.
    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// The value that the part `q` (0 to 1) of all does not exceed; NaN if there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index of a list in memory, from a number between 0 and its length"
    )]
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * q.clamp(0.0, 1.0)).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// How likely it is that the median is above each of the `other` values although both are of
    /// the same kind: the greatest of all are these by chance.
    #[expect(clippy::cast_precision_loss, reason = "counts of rounds")]
    pub fn chance_above_all(&self, other: &Self) -> f64 {
        let (own, all) = (self.count(), self.count() + other.count());
        let above = own - own / 2;
        (0..above).map(|taken| (own - taken) as f64 / (all - taken) as f64).product()
    }

    /// How far the middle half reaches, in parts of the median: single outliers, which every
    /// busy machine has, do not count.
    pub fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers() {
        let sample = Sample::new([3.0, 1.0, 2.0, 9.0, 4.0]);
        assert_eq!(
            format!("{} {} {}", sample.min(), sample.median(), sample.spread()),
            "1 3 0.6666666666666666"
        );
        assert!(Sample::new([]).median().is_nan());
    }

    #[test]
    fn few_values_are_above_as_few_by_chance() {
        for (rounds, percent) in [(1, "50.0"), (3, "20.0"), (5, "8.3"), (7, "3.5"), (13, "0.3")] {
            let sample = Sample::new((0..rounds).map(f64::from));
            let chance = sample.chance_above_all(&sample);
            assert_eq!(format!("{:.1}", chance * 100.0), percent, "{rounds}");
        }
        assert!(Sample::new([1.0]).chance_above_all(&Sample::new([])) > 0.99);
    }
}
