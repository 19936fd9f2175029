//! Where log lines go and which ones.
//!
//! Lines are written by a thread of their own, behind a queue that is bounded: whoever reads standard error slowly does not slow down
//! admission. What does not fit is dropped and counted.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// How many lines may wait to be written: some seconds of the busiest server, a few megabytes.
const LINES: usize = 16_384;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("--log: expected {EXPECTED}, found `{0}`")]
pub struct LogError(String);

/// What a filter may be.
pub const EXPECTED: &str = "a level (off, error, warn, info, debug, trace) or a filter like `info,outrigger=debug`";

/// Which lines are written; changed while the server runs.
#[derive(Clone)]
pub struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

impl Filter {
    /// A filter, and the layer that keeps to it.
    pub fn new(text: &str) -> Result<(Self, reload::Layer<EnvFilter, Registry>), LogError> {
        let (layer, handle) = reload::Layer::new(read(text)?);
        Ok((Self { handle, text: Arc::new(Mutex::new(text.to_owned())) }, layer))
    }

    /// As it was written.
    pub fn text(&self) -> String {
        self.text.lock().clone()
    }

    /// Writes other lines from now on. What is changed is logged, by the old filter or the new one, whichever lets it through.
    pub fn set(&self, text: &str) -> Result<(), LogError> {
        let text = text.trim();
        let filter = read(text)?;
        let mut known = self.text.lock();
        let is_said = tracing::enabled!(tracing::Level::WARN);
        let say = || tracing::warn!(from = %known, to = %text, "the log filter is changed");
        if is_said {
            say();
        }
        // The layer lives as long as the program.
        let _ = self.handle.reload(filter);
        if !is_said {
            say();
        }
        text.clone_into(&mut known);
        Ok(())
    }
}

/// Reads a filter. A word alone has to be a level: taken as the name of a module it would silence all others.
fn read(text: &str) -> Result<EnvFilter, LogError> {
    let wrong = || LogError(text.to_owned());
    let is_level = |word: &str| !word.is_empty() && word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let is_known = |part: &str| part.contains(['=', '[']) || is_level(part.trim());
    // Inside of brackets a comma stands between fields.
    let parts = text.split(',').filter(|_| !text.contains('['));
    if text.trim().is_empty() || !parts.into_iter().all(is_known) {
        return Err(wrong());
    }
    EnvFilter::try_new(text).map_err(|_| wrong())
}

/// What writes lines, as long as it is kept; what waits is written when it is dropped.
pub struct Lines {
    /// Which ones.
    pub filter: Filter,
    dropped: ErrorCounter,
    _writer: WorkerGuard,
    #[cfg(feature = "otlp")]
    _exporter: Option<super::otlp::Exporter>,
}

impl Lines {
    /// How many were dropped since the start.
    pub fn dropped(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines()
    }
}

/// Sends log lines to standard error. Called once, by `main`.
pub fn start(filter: &str, format: Format) -> Result<Lines, LogError> {
    let (filter, layer) = Filter::new(filter)?;
    let (writer, guard) = bounded(io::stderr(), LINES);
    let dropped = writer.error_counter();
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().boxed(),
    };
    #[cfg(feature = "otlp")]
    let (spans, exporter) = super::otlp::start().unzip();
    #[cfg(not(feature = "otlp"))]
    let spans = None::<tracing_subscriber::layer::Identity>;
    // A second start in one process keeps the first: tests do that.
    let _ = tracing_subscriber::registry().with(layer).with(lines).with(spans).try_init();
    Ok(Lines {
        filter,
        dropped,
        _writer: guard,
        #[cfg(feature = "otlp")]
        _exporter: exporter,
    })
}

/// A writer that never waits.
fn bounded(to: impl io::Write + Send + 'static, lines: usize) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(lines).lossy(true).thread_name("log").finish(to)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::mpsc::{Receiver, Sender, channel},
    };

    use super::*;

    /// Blocks until it is let go on.
    struct Stuck(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(line.to_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted_and_hold_up_nobody() {
        let ((go_on, stuck), (sent, written)) = (channel(), channel());
        let (mut writer, guard) = bounded(Stuck(stuck, sent), 3);
        let dropped = writer.error_counter();
        for number in 0..10 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        // One is in the hands of the thread, or still the first of three that wait.
        let count = dropped.dropped_lines();
        assert!((6..=7).contains(&count), "{count}");
        drop(go_on);
        drop(guard);
        let lines: Vec<_> = written.try_iter().collect();
        assert_eq!((lines.len(), lines.first()), (10 - count, Some(&b"0\n".to_vec())), "what waits is written at the end");
    }

    #[test]
    fn a_filter_is_a_level_or_says_of_what() {
        for good in
            ["info", "WARN", "off", "info,outrigger=debug", "outrigger::server=trace", "warn,hyper=off", "info,[review{hook=\"/a\"}]=trace"]
        {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "loud", "info,loud", "inf", "info,,", "outrigger=loud"] {
            assert_eq!(read(bad).err(), Some(LogError(bad.to_owned())));
        }
    }

    #[test]
    fn a_filter_is_changed_while_lines_are_written() {
        let (sent, written) = channel();
        let ((filter, layer), (go_on, stuck)) = (Filter::new("info").unwrap(), channel());
        drop(go_on);
        let lines = fmt::layer().with_writer(std::sync::Mutex::new(io::LineWriter::new(Stuck(stuck, sent)))).with_ansi(false);
        tracing::subscriber::with_default(Registry::default().with(layer).with(lines), || {
            tracing::debug!("unseen");
            filter.set(" debug\n").unwrap();
            tracing::debug!("seen");
            assert_eq!(filter.set("loud").unwrap_err(), LogError("loud".to_owned()));
            filter.set("off").unwrap();
            tracing::error!("unseen");
            filter.set("info").unwrap();
        });
        let text: String = written.try_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        assert!(!text.contains("unseen") && text.contains("seen"), "{text}");
        for change in ["from=info to=debug", "from=debug to=off", "from=off to=info"] {
            assert!(text.contains(change), "{change} is missing in\n{text}");
        }
        assert_eq!(filter.text(), "info");
    }
}
