//! How long a watch that was interrupted waits before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;

const FIRST: Duration = Duration::from_millis(400);
/// The longest pause before what chance adds. kube's own goes up to 30 s, as client-go's does: right for the thousand kubelets of a
/// cluster, but a server whose picture stands still decides by it all the while, and there are only a few of us.
const LONGEST: Duration = Duration::from_millis(2500);

/// Pauses that double up to a limit. Chance adds up to as much again, so that all watches of all replicas do not come at once. The
/// next success begins anew.
#[derive(Debug)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(LONGEST);
        Some(pause.mul_f64(1.0 + fastrand::f64()))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::{
        core::{PartialObjectMeta, Status},
        runtime::watcher::{Error, Event},
    };
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::{
        super::{Feed, kinds::Namespaces},
        *,
    };
    use crate::server::admin::Readiness;

    #[test]
    fn pauses_double_up_to_a_few_seconds_and_begin_anew_after_a_success() {
        let mut pauses = Pauses::default();
        for limits in [(400, 800), (800, 1600), (1600, 3200), (2500, 5000), (2500, 5000)] {
            let pause = pauses.next().unwrap().as_millis();
            assert!((limits.0..=limits.1).contains(&pause), "{pause} ms, not {limits:?}");
        }
        pauses.reset();
        assert!(pauses.next().unwrap() <= Duration::from_millis(800));
    }

    /// It comes back, but does not remember the version that the watch had come to.
    #[tokio::test(start_paused = true)]
    async fn a_watch_is_back_seconds_after_an_api_server_that_was_away_for_a_minute() {
        let feed = Feed::new(Arc::default(), Readiness::default(), Arc::default(), None);
        let (begin, stop) = (Instant::now(), CancellationToken::new());
        let failure = |code| Err(Error::WatchError(Box::new(Status { code, ..Status::default() })));
        let watch = |_| {
            stream::unfold((false, stop.clone()), move |(is_back, stop)| async move {
                let event: Result<Event<PartialObjectMeta<Namespace>>, Error> = match begin.elapsed() {
                    away if away < Duration::from_mins(1) => failure(503),
                    _ if !is_back => failure(410),
                    _ => {
                        stop.cancel();
                        Ok(Event::Init)
                    }
                };
                Some((event, (begin.elapsed() >= Duration::from_mins(1), stop)))
            })
        };
        feed.follow::<Namespaces, _>(stop.clone(), watch).await;
        assert!(begin.elapsed() <= Duration::from_secs(70), "{:?}", begin.elapsed());
    }

    #[test]
    fn two_watches_do_not_come_at_once() {
        let first: Vec<_> = Pauses::default().take(5).collect();
        assert_ne!(first, Pauses::default().take(5).collect::<Vec<_>>());
    }
}
