//! Whether a server's memory grows with what it answers: what it keeps for later has bounds and does not count, nor does what
//! an allocator takes and gives back.

use crate::support::scrape::Scrape;

/// Bytes by which memory may grow for each answer: fewer than the smallest of what a request makes and could leave behind, a
/// record of some 300 bytes, a task or a connection. Ten minutes of it are more than the allocator's own unrest.
const BYTES_PER_ANSWER_MAX: f64 = 64.0;
/// Growth below this is the allocator's, whatever was answered: two exports that are on their way, and its pages.
const UNREST_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// What the server keeps for later.
const KEPT: [&str; 4] = [
    "coffer_memory_bytes{of=\"facts\"}",
    "coffer_memory_bytes{of=\"bearers\"}",
    "coffer_memory_bytes{of=\"changes\"}",
    "coffer_memory_bytes{of=\"batches\"}",
];

/// A look at the server.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub answers: usize,
    /// The least since the look before, without what the server keeps for later: that has its bounds, and takes hours to
    /// reach them.
    pub memory_bytes: f64,
}

/// What the process has, and what of it the server keeps for later, in bytes.
pub fn memory(told: &Scrape) -> (f64, f64) {
    let kept = KEPT.iter().map(|of| told.value(of)).sum();
    (told.value("process_resident_memory_bytes"), kept)
}

/// By how many bytes memory grows for each answer: the slope of the straight line that fits best.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let answers = mean(&|sample| sample.answers as f64);
    let memory = mean(&|sample| sample.memory_bytes);
    let both = mean(&|sample| (sample.answers as f64 - answers) * (sample.memory_bytes - memory));
    let spread = mean(&|sample| (sample.answers as f64 - answers).powi(2));
    if spread == 0.0 { 0.0 } else { both / spread }
}

/// By how many bytes memory has grown with what was answered, and by how many it may.
pub fn growth(samples: &[Sample]) -> (f64, f64) {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return (0.0, UNREST_BYTES);
    };
    let answers = (last.answers - first.answers) as f64;
    let may = UNREST_BYTES.max(BYTES_PER_ANSWER_MAX * answers);
    (slope(samples) * answers, may)
}

#[test]
fn growth_is_told_from_unrest() {
    let of = |memory: &dyn Fn(usize) -> f64| -> Vec<Sample> {
        let numbers = (0..30).map(|number| number * 5_000);
        let sample = |answers| Sample {
            answers,
            memory_bytes: 50e6 + memory(answers),
        };
        numbers.map(sample).collect()
    };
    let grows = |samples: &[Sample]| {
        let (grown, may) = growth(samples);
        grown > may
    };
    assert!(!grows(&of(&|answers| if answers % 2 == 0 {
        3e6
    } else {
        -3e6
    })));
    assert!(!grows(&of(&|answers| -(answers as f64))));
    assert!(!grows(&of(&|answers| 10.0 * answers as f64)));
    assert!(
        grows(&of(&|answers| 100.0 * answers as f64)),
        "a little of every request"
    );
    assert_eq!(growth(&[]), (0.0, UNREST_BYTES));
}
