//! Medians over the rounds, as a table.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a report of measured numbers")]

use std::time::Duration;

use crate::{Options, client::Load, fixtures::review, scenario};

/// One scenario in one round.
pub(crate) struct Measured {
    /// Microseconds on a CPU for each review.
    cpu: f64,
    p50: f64,
    p99: f64,
    per_second: f64,
}

impl Measured {
    pub(crate) fn of(cpu: u64, mut load: Load) -> Self {
        load.latencies.sort_unstable();
        let count = load.latencies.len();
        let quantile = |hundredths: usize| load.latencies.get(count * hundredths / 100).copied().unwrap_or_default();
        let per_second = count as f64 / load.took.as_secs_f64();
        Self { cpu: cpu as f64 / 1e3 / count as f64, p50: microseconds(quantile(50)), p99: microseconds(quantile(99)), per_second }
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Prints the medians of all rounds; the first scenario is the floor.
pub(crate) fn print(rounds: &[Vec<Measured>], options: &Options) {
    println!("{} rounds of {} reviews of {} bytes ({} containers)", options.rounds, options.requests, review::SIZE, review::CONTAINERS);
    println!("{} connections with {} streams each, one worker thread for each server\n", options.connections, options.streams);
    println!("| {:<32} | CPU us/review | x floor (goal) | p50 us | p99 us | reviews/s |", "medians of the rounds");
    println!("|{:-<34}|--------------:|---------------:|-------:|-------:|----------:|", "");
    for (index, scenario) in scenario::ALL.iter().filter(|scenario| scenario.is_among(&options.only)).enumerate() {
        let of = |value: fn(&Measured) -> f64| median(rounds.iter().filter_map(|round| round.get(index).map(value)));
        let ratio = median(rounds.iter().filter_map(|round| Some(round.get(index)?.cpu / round.first()?.cpu)));
        let goal = scenario.goal.map(|goal| format!("({goal:.0})")).unwrap_or_default();
        print!("| {:<32} | {:>13.2} | {:>8.2} {goal:<5} ", scenario.name, of(|one| one.cpu), ratio);
        println!("| {:>6.0} | {:>6.0} | {:>9.0} |", of(|one| one.p50), of(|one| one.p99), of(|one| one.per_second));
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.collect();
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
