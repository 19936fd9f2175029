//! What the tests share: certificates, clients that speak as badly as they like, a server in this process, and the binary.

pub(crate) mod binary;
pub(crate) mod client;
pub(crate) mod pki;
pub(crate) mod server;

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long the outside world may take before a test gives up; nothing waits that long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same where nothing is asynchronous.
pub(crate) fn until_now<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for something that has to end by itself.
pub(crate) async fn ends<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("did not end within {PATIENCE:?}: {what}"))
}

/// The value of one series in a text of metrics; zero if it is not there.
pub(crate) fn metric(text: &str, series: &str) -> u64 {
    let (name, labels) = parts(series);
    let is_meant = |of: &str| {
        let (own, all) = parts(of);
        own == name && labels.iter().all(|label| all.contains(label))
    };
    let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    values.filter(|(series, _)| is_meant(series)).map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

/// The name and the labels of a series.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    (name, labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect())
}
