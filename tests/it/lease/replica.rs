//! A replica: it stands for election, and while it leads it works on the floor, where never two may be.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use outrigger::{
    cluster::lease::{Candidacy, Term, election::Times, identity::Identity},
    telemetry::metrics::Metrics,
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::api_server::{ApiServer, Fate};

pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const RENEW: Duration = Duration::from_secs(10);
pub(crate) const RETRY: Duration = Duration::from_secs(2);
/// For requests on their way.
pub(crate) const BREATH: Duration = Duration::from_millis(20);

/// Where the work is done. Whoever enters while another is there is noted.
#[derive(Clone, Default)]
pub(crate) struct Floor(Arc<Mutex<(Option<String>, Vec<String>)>>);

struct Presence(Floor);

impl Floor {
    fn enter(&self, who: &str) -> Presence {
        let (present, collisions) = &mut *self.0.lock();
        if let Some(other) = present.replace(who.to_owned()) {
            collisions.push(format!("{who} began while {other} was working"));
        }
        Presence(self.clone())
    }

    pub(crate) fn collisions(&self) -> Vec<String> {
        self.0.lock().1.clone()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.lock().0 = None;
    }
}

pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) leadership: watch::Receiver<Option<Term>>,
    pub(crate) stop: CancellationToken,
    pub(crate) election: JoinHandle<()>,
    pub(crate) metrics: Arc<Metrics>,
    /// What becomes of its requests from now on.
    pub(crate) fate: Arc<Mutex<Box<dyn FnMut() -> Fate + Send>>>,
}

impl Replica {
    pub(crate) fn start(server: &ApiServer, name: &str) -> Self {
        Self::with_clock(server, name, || Timestamp::constant(1_800_000_000, 0))
    }

    pub(crate) fn with_clock(server: &ApiServer, name: &str, wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let fate: Arc<Mutex<Box<dyn FnMut() -> Fate + Send>>> = Arc::new(Mutex::new(Box::new(|| Fate::GOOD)));
        let metrics = Arc::new(Metrics::new());
        let fares = Arc::clone(&fate);
        let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
        let candidacy = Candidacy {
            client: server.client(move |_| fares.lock()()),
            namespace: "own".to_owned(),
            identity: Identity { name: name.to_owned(), seed },
            times: Times::new(LEASE, RENEW, RETRY).unwrap(),
            wall: Arc::new(wall),
            metrics: Arc::clone(&metrics),
        };
        let (sender, leadership) = watch::channel(None);
        let stop = CancellationToken::new();
        let election = TaskTracker::new().spawn(candidacy.run(stop.clone(), sender));
        Self { name: name.to_owned(), leadership, stop, election, metrics, fate }
    }

    /// From now on its requests end like this.
    pub(crate) fn fares(&self, fate: Fate) {
        *self.fate.lock() = Box::new(move || fate);
    }

    /// Works on the floor whenever it leads, in writes that take up to `longest` and are not broken off.
    pub(crate) fn works(&self, floor: &Floor, longest: Duration) -> JoinHandle<()> {
        let (name, floor, mut leadership) = (self.name.clone(), floor.clone(), self.leadership.clone());
        let mut random = fastrand::Rng::with_seed(name.len() as u64);
        TaskTracker::new().spawn(async move {
            loop {
                let term = leadership.borrow_and_update().clone();
                if let Some((term, work)) = term.and_then(|term| Some((term.clone(), term.begin()?))) {
                    let presence = floor.enter(&name);
                    while term.is_current() {
                        sleep(longest.mul_f64(random.f64())).await;
                    }
                    drop(presence);
                    drop(work);
                }
                if leadership.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    /// Whether it leads at this very moment.
    pub(crate) fn is_leader(&self) -> bool {
        self.leadership.borrow().as_ref().is_some_and(Term::is_current)
    }

    /// Waits until it leads, which must be within `limit`.
    pub(crate) async fn leads_within(&mut self, limit: Duration) -> Term {
        let began = timeout(limit, self.leadership.wait_for(Option::is_some)).await;
        began.unwrap_or_else(|_| panic!("{} does not lead within {limit:?}", self.name)).unwrap().clone().unwrap()
    }

    /// As `kill -9` does: whatever it was about to do is not done.
    pub(crate) fn kill(&self) -> Instant {
        self.election.abort();
        Instant::now()
    }
}
