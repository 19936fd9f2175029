//! What the operating system says of this process, under the names by which Prometheus' own clients tell it. Read from `/proc`; where
//! there is none, as on a developer's machine that is no Linux, nothing is told.

use std::{fs, path::Path};

use prometheus_client::{
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

type Number = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Where the kernel says when it was started: the line of this name in `/proc/stat`.
const STARTED: &str = "btime ";

/// What is told of the process.
#[derive(Debug, Default)]
pub struct Process {
    resident: Gauge,
    cpu: prometheus_client::metrics::counter::Counter<f64, std::sync::atomic::AtomicU64>,
    files: Gauge,
    most_files: Gauge,
    threads: Gauge,
    started: Number,
}

/// What stands in `/proc/self/stat` and is told.
#[derive(Debug, PartialEq)]
struct Stat {
    /// Processor time, in ticks.
    ticks: u64,
    threads: i64,
    /// When it was started, in ticks since the kernel was.
    started: u64,
    /// Resident memory, in pages.
    pages: u64,
}

impl Stat {
    /// Reads the line; its second member is the name of the program in brackets, which may be anything.
    fn read(line: &str) -> Option<Self> {
        // From the third member on: those of proc(5) less three.
        let members: Vec<_> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| members.get(index)?.parse::<u64>().ok();
        let threads = i64::try_from(number(17)?).ok()?;
        Some(Self { ticks: number(11)?.checked_add(number(12)?)?, threads, started: number(19)?, pages: number(21)? })
    }
}

impl Process {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit("process_resident_memory", "Resident memory", Unit::Bytes, self.resident.clone());
        registry.register_with_unit("process_cpu", "Processor time, of user and system", Unit::Seconds, self.cpu.clone());
        registry.register("process_open_fds", "Open file descriptors", self.files.clone());
        registry.register("process_max_fds", "How many file descriptors may be open", self.most_files.clone());
        registry.register("process_threads", "Threads", self.threads.clone());
        registry.register_with_unit("process_start_time", "Start of the process since 1970", Unit::Seconds, self.started.clone());
    }

    /// Reads all as of now.
    pub(super) fn look(&self) {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let kernel = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(stat) = stat.as_deref().and_then(Stat::read) {
            self.tell(&stat, &kernel);
        }
        if let Ok(files) = fs::read_dir(Path::new("/proc/self/fd")) {
            // The one that is being read is one of them.
            self.files.set(super::metrics::number(files.count().saturating_sub(1)));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        self.most_files.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }

    fn tell(&self, stat: &Stat, kernel: &str) {
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let seconds = |ticks: u64| std::time::Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second).as_secs_f64();
        let bytes = stat.pages.saturating_mul(u64::try_from(rustix::param::page_size()).unwrap_or_default());
        self.resident.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.threads.set(stat.threads);
        self.cpu.inc_by((seconds(stat.ticks) - self.cpu.get()).max(0.0));
        let boot = kernel.lines().find_map(|line| line.strip_prefix(STARTED)?.trim().parse::<f64>().ok());
        if let Some(boot) = boot {
            self.started.set(boot + seconds(stat.started));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let line = "17 (a ) b) S 1 17 17 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 4200 123456789 2048 18446744073709551615 1 1";
        assert_eq!(Stat::read(line), Some(Stat { ticks: 300, threads: 9, started: 4200, pages: 2048 }));
        assert_eq!(Stat::read("17 (a) S 1"), None);
        assert_eq!(Stat::read(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_says_what_it_is() {
        let process = Process::default();
        process.look();
        assert!(process.resident.get() > 1_000_000 && process.files.get() >= 3 && process.most_files.get() >= process.files.get());
        assert!(process.threads.get() >= 1 && process.started.get() > 1_600_000_000.0, "{process:?}");
        let before = process.cpu.get();
        process.look();
        assert!(process.cpu.get() >= before);
    }
}
