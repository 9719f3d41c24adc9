//! Medians and spreads, and a figure with the goal that an issue has set for it.
//! A figure is a line of the summary, or one JSON object.
//!
//! Invariant: a figure without a goal is never said to be met.

use serde::Serialize;

/// Values of one thing over the rounds.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// One more round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The newest.
    pub fn last(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    /// The middle value; of two, the mean. Zero when there is none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => 0.0,
            count if count % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().reduce(f64::max).unwrap_or(0.0)
    }

    /// Median, and smallest to largest, with so many decimals.
    pub fn show(&self, decimals: usize) -> String {
        let (median, min, max) = (self.median(), self.min(), self.max());
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }

    /// Each round's value divided by another thing's of the same round.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// Each round's value made into another.
    pub fn map(&self, with: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|value| with(*value)).collect())
    }

    /// Each round's value and another thing's of the same round together.
    pub fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a + b).collect())
    }
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[u32], share: f64) -> u32 {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.max(1) - 1).copied().unwrap_or(0)
}

/// What a goal asks for.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// Exactly this.
    Exactly(f64),
    /// Nothing.
    None,
}

/// One measured thing.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is, for a program: stable words.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be.
    pub goal: Goal,
}

/// One object a line.
#[derive(Serialize)]
struct Line<'a> {
    figure: &'a str,
    value: f64,
    unit: &'a str,
    goal: Option<f64>,
    met: Option<bool>,
}

impl Figure {
    /// A figure.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, goal: Goal) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            goal,
        }
    }

    /// Whether the goal is met, when there is one.
    pub fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMost(most) => Some(self.value <= most),
            Goal::AtLeast(least) => Some(self.value >= least),
            Goal::Exactly(value) => Some(self.value == value),
            Goal::None => None,
        }
    }

    /// The goal and whether it is met, for a person.
    pub fn verdict(&self) -> String {
        let goal = match self.goal {
            Goal::AtMost(most) => format!("at most {}", rounded(most)),
            Goal::AtLeast(least) => format!("at least {}", rounded(least)),
            Goal::Exactly(value) => format!("exactly {}", rounded(value)),
            Goal::None => return String::new(),
        };
        let met = if self.is_met() == Some(true) {
            "met"
        } else {
            "NOT MET"
        };
        format!("{goal}: {met}")
    }

    /// The object.
    pub fn json(&self) -> String {
        let goal = match self.goal {
            Goal::AtMost(goal) | Goal::AtLeast(goal) | Goal::Exactly(goal) => Some(goal),
            Goal::None => None,
        };
        let line = Line {
            figure: &self.name,
            value: rounded(self.value),
            unit: self.unit,
            goal: goal.map(rounded),
            met: self.is_met(),
        };
        // Text and finite numbers; not-a-number becomes null.
        serde_json::to_string(&line).expect("a line of JSON")
    }
}

/// As many digits as anybody reads.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let rounds = Rounds(vec![3.0, 1.0, 2.0]);
        assert_eq!(rounds.show(1), "2.0 (1.0–3.0)");
        assert_eq!(Rounds(vec![1.0, 2.0]).median(), 1.5);
        assert_eq!(Rounds::default().median(), 0.0);
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.5), 50);
        assert_eq!(percentile(&hundred, 0.99), 99);
        assert_eq!(percentile(&hundred, 1.0), 100);
        assert_eq!(percentile(&[], 0.5), 0);
    }

    #[test]
    fn a_goal_is_met_or_not_or_absent() {
        let figure = |goal| Figure::new("f", 2.0, "x", goal);
        assert_eq!(figure(Goal::AtMost(2.0)).is_met(), Some(true));
        assert_eq!(figure(Goal::AtLeast(2.1)).is_met(), Some(false));
        assert_eq!(
            figure(Goal::None).json(),
            r#"{"figure":"f","value":2.0,"unit":"x","goal":null,"met":null}"#
        );
    }
}
