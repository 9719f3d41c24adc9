//! The two texts that Prometheus reads: its own format 0.0.4, and OpenMetrics 1.0.
//! They differ in what a counter's family is called, and in the last line; everything else is written as both allow.
//!
//! Invariant: a family is written once, with its help and its type before its samples.

use std::fmt::{Display, Write};

use super::kinds::{Counter, Histogram};

/// Which text is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What a text begins with room for, in bytes.
const TEXT_BYTES_EXPECTED: usize = 32 << 10;

impl Format {
    /// What a client's `Accept` asks for: OpenMetrics when it is named, for whoever can read it names both.
    pub fn of_accept(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// What the answer is said to be.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Names and values of labels.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text that is being written.
pub(super) struct Text {
    format: Format,
    written: String,
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            written: String::with_capacity(TEXT_BYTES_EXPECTED),
        }
    }

    /// A family that only rises; its samples end in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", "_total", help)
    }

    /// A family that rises and falls.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", "", help)
    }

    /// A family of buckets.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", "", help)
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.written.push_str("# EOF\n");
        }
        self.written
    }

    fn family(
        &mut self,
        name: &'static str,
        kind: &str,
        suffix: &'static str,
        help: &str,
    ) -> Family<'_> {
        let named = match self.format {
            Format::Prometheus => suffix,
            Format::OpenMetrics => "",
        };
        self.push(format_args!("# HELP {name}{named} {help}\n"));
        self.push(format_args!("# TYPE {name}{named} {kind}\n"));
        Family {
            text: self,
            name,
            suffix,
        }
    }

    fn push(&mut self, line: impl Display) {
        write!(self.written, "{line}").expect("a text takes all");
    }
}

/// A family whose samples are being written.
pub(super) struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
    suffix: &'static str,
}

impl Family<'_> {
    /// Its only sample.
    pub(super) fn is(mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// A counter for each value of one label.
    pub(super) fn by<'a>(
        mut self,
        label: &str,
        counters: impl IntoIterator<Item = (&'a str, &'a Counter)>,
    ) {
        for (value, counter) in counters {
            self.sample("", &[(label, value)], counter.get());
        }
    }

    /// One sample with labels.
    pub(super) fn value(&mut self, labels: Labels<'_>, value: impl Display) {
        self.sample("", labels, value);
    }

    /// All samples of one histogram.
    pub(super) fn buckets(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let mut all = 0;
        for (bound, below) in histogram.buckets() {
            let bound = if bound.is_finite() {
                format!("{bound:?}")
            } else {
                "+Inf".to_owned()
            };
            self.sample(
                "_bucket",
                &[labels, &[("le", bound.as_str())]].concat(),
                below,
            );
            all = below;
        }
        self.sample("_sum", labels, histogram.sum());
        self.sample("_count", labels, all);
    }

    /// No value of a label needs an escape: they are words of this program, and routes.
    fn sample(&mut self, part: &str, labels: Labels<'_>, value: impl Display) {
        let Self { text, name, suffix } = self;
        text.push(format_args!("{name}{suffix}{part}"));
        for (at, (label, value)) in labels.iter().enumerate() {
            debug_assert!(!value.contains(['"', '\\', '\n']));
            let before = if at == 0 { '{' } else { ',' };
            text.push(format_args!("{before}{label}=\"{value}\""));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        text.push(format_args!("{close} {value}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let counter = Counter::default();
        counter.add(7);
        let mut text = Text::new(format);
        text.counter("coffer_words", "Words.")
            .by("said", [("yes", &counter)]);
        text.gauge("coffer_sealed", "Whether.").is(1);
        text.finish()
    }

    #[test]
    fn a_counter_is_called_as_its_format_wants() {
        let own = "# HELP coffer_words_total Words.\n# TYPE coffer_words_total counter\n\
                   coffer_words_total{said=\"yes\"} 7\n\
                   # HELP coffer_sealed Whether.\n# TYPE coffer_sealed gauge\ncoffer_sealed 1\n";
        assert_eq!(written(Format::Prometheus), own);
        let open = "# HELP coffer_words Words.\n# TYPE coffer_words counter\n\
                    coffer_words_total{said=\"yes\"} 7\n\
                    # HELP coffer_sealed Whether.\n# TYPE coffer_sealed gauge\ncoffer_sealed 1\n# EOF\n";
        assert_eq!(written(Format::OpenMetrics), open);
    }

    #[test]
    fn a_client_is_given_what_it_names() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::of_accept(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain;version=0.0.4"] {
            assert_eq!(Format::of_accept(other), Format::Prometheus);
        }
    }
}
