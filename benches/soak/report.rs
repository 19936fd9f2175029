//! What came of it, as tables.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, clippy::indexing_slicing, reason = "a report of measured numbers")]

use std::{collections::BTreeMap, time::Duration};

use crate::{client::Answered, reviews::KINDS};

/// Resident memory at a time since the start.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident: u64,
}

/// Whether it was answered otherwise than it has to be.
fn is_wrong(one: &Answered) -> bool {
    let allowed = one.outcome.as_ref().ok().map(Option::is_none);
    allowed.is_some_and(|allowed| KINDS[one.kind].is_allowed.is_some_and(|wanted| wanted != allowed))
}

/// Prints latencies by kind, and gives how many reviews were not answered as they should be.
pub(crate) fn latencies(answered: &[Answered]) -> usize {
    println!("| {:<36} | reviews | allowed | failed |  p50 ms |  p99 ms | p99.9 ms |  max ms |", "");
    println!("|{:-<38}|--------:|--------:|-------:|--------:|--------:|---------:|--------:|", "");
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    let line = |name: &str, of: &dyn Fn(&Answered) -> bool| {
        let these: Vec<_> = answered.iter().filter(|one| of(one)).collect();
        let mut times: Vec<_> = these.iter().map(|one| one.took).collect();
        times.sort_unstable();
        let at = |of_ten_thousand: usize| {
            let index = (times.len() * of_ten_thousand / 10_000).min(times.len().saturating_sub(1));
            times.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        let allowed = these.iter().filter(|one| matches!(one.outcome, Ok(None))).count();
        let failed = these.iter().filter(|one| one.outcome.is_err() || is_wrong(one)).count();
        println!(
            "| {name:<36} | {:>7} | {allowed:>7} | {failed:>6} | {:>7.2} | {:>7.2} | {:>8.2} | {:>7.1} |",
            these.len(),
            at(5_000),
            at(9_900),
            at(9_990),
            at(10_000)
        );
        failed
    };
    for (index, kind) in KINDS.iter().enumerate() {
        line(kind.name, &|one| one.kind == index);
    }
    let failed = line("all", &|_| true);
    for one in answered {
        match &one.outcome {
            Err(error) => *failures.entry(error).or_default() += 1,
            Ok(answer) if is_wrong(one) => *failures.entry(answer.as_deref().unwrap_or(KINDS[one.kind].name)).or_default() += 1,
            Ok(_) => {}
        }
    }
    for (failure, count) in failures.iter().take(10) {
        println!("failed {count} times: {failure}");
    }
    failed
}

/// Prints the memory over time, and gives how fast it grows after the first fifth, in bytes a minute.
pub(crate) fn memory(samples: &[Sample]) -> f64 {
    let megabytes = |bytes: f64| bytes / 1e6;
    let shown: Vec<_> = samples.iter().map(|sample| format!("{:.1}", megabytes(sample.resident as f64))).collect();
    println!("resident MB, every ten seconds: {}", shown.join(" "));
    let warm = samples.get(samples.len() / 5..).unwrap_or_default();
    let (slope, mean) = line_through(warm);
    println!("after the first fifth: {:.1} MB on average, {:+.3} MB a minute", megabytes(mean), megabytes(slope));
    slope
}

/// Slope, in bytes a minute, and mean of the line of least squares.
fn line_through(samples: &[Sample]) -> (f64, f64) {
    let count = samples.len().max(1) as f64;
    let points: Vec<_> = samples.iter().map(|sample| (sample.at.as_secs_f64() / 60.0, sample.resident as f64)).collect();
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
        let (dx, dy) = (point.0 - x, point.1 - y);
        (dx.mul_add(dy, above), dx.mul_add(dx, below))
    });
    (if below > 0.0 { above / below } else { 0.0 }, y)
}
