//! One figure of the table, beside the floor that it is compared with.

use einhorn_bench::statistics::Sample;

/// A measured quantity.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Of `floor` and `value`.
    pub(crate) unit: &'static str,
    /// What the kernel, or a server that does nothing, takes for the same; measured in turns
    /// with `value`.
    pub(crate) floor: Option<Sample>,
    /// The master's.
    pub(crate) value: Sample,
    /// What it should be.
    pub(crate) wanted: Option<Wanted>,
    /// Whether it is among the few that are shown first.
    pub(crate) is_headline: bool,
}

/// What is less likely than this is not taken for chance.
const CHANCE_MAX: f64 = 0.05;

/// An upper bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Of the ratio to the floor.
    Ratio(f64),
    /// Of the value itself.
    Value(f64),
    /// The value is not above what the floor's own runs reach.
    WithinFloor,
}

/// How a figure stands to what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is reached, by the median.
    Met,
    /// It is reached by the best run only.
    AtBest,
    /// It is not reached.
    Missed,
    /// It is not reached in rounds so few that chance may have done it.
    Unclear,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::AtBest => "at best",
            Self::Missed => "missed",
            Self::Unclear => "too few rounds",
        }
    }
}

impl Row {
    /// A value beside its floor.
    pub(crate) fn beside(
        what: impl Into<String>,
        unit: &'static str,
        floor: Sample,
        value: Sample,
    ) -> Self {
        Self { floor: Some(floor), ..Self::alone(what, unit, value) }
    }

    /// A value by itself.
    pub(crate) fn alone(what: impl Into<String>, unit: &'static str, value: Sample) -> Self {
        Self { what: what.into(), unit, floor: None, value, wanted: None, is_headline: false }
    }

    /// The same with a bound.
    pub(crate) fn wanted(self, wanted: Wanted) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// The same among the few that are shown first.
    pub(crate) fn headline(self) -> Self {
        Self { is_headline: true, ..self }
    }

    /// Value over floor, by a quantile of each.
    pub(crate) fn ratio(&self, of: fn(&Sample) -> f64) -> Option<f64> {
        let ratio = of(&self.value) / of(self.floor.as_ref()?);
        ratio.is_finite().then_some(ratio)
    }

    /// Whether what is wanted is reached.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let (typical, best, bound) = match self.wanted? {
            Wanted::Ratio(bound) => (self.ratio(Sample::median)?, self.ratio(Sample::min)?, bound),
            Wanted::Value(bound) => (self.value.median(), self.value.min(), bound),
            Wanted::WithinFloor => {
                let floor = self.floor.as_ref()?;
                let is_chance = self.value.chance_above_all(floor) > CHANCE_MAX;
                if is_chance && self.value.median() > floor.max() {
                    return Some(Verdict::Unclear);
                }
                (self.value.median(), self.value.min(), floor.max())
            }
        };
        Some(match () {
            () if typical <= bound => Verdict::Met,
            () if best <= bound => Verdict::AtBest,
            () => Verdict::Missed,
        })
    }
}

/// A number for people: as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract().abs() < f64::EPSILON => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
