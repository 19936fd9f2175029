//! Puts the rooms together: what starts in which order, and what ends in which.

mod certificate;
pub mod commands;
mod signals;

use std::{future::IntoFuture, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::Router;
use jiff::Timestamp;
use kube::Client;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::signals::Signals;
use crate::{
    args::{Common, Election, Serve},
    base::gates::Gates,
    cluster::{
        apply::Apply,
        ask,
        claims::Counter,
        client::{self, Heard, Repeats},
        events::{Queue, Teller},
        facts::Facts,
        lease::{Candidacy, Term, election::Times, identity::Identity},
        protected::Protected,
        watch::Feed,
    },
    controllers::{Planner, protection::Lifter, runner::Runner},
    handlers,
    offline::{
        self, claims as memory,
        files::{self, Folder, Objects},
    },
    plan::Key,
    server::{
        Limits,
        admin::{self, Readiness},
        certs::Serving,
        http::{self, Outside},
        open_files,
        self_check::{self, SelfCheck},
        tls,
    },
    state::State,
    telemetry::{log, metrics::Metrics},
};

/// How often manifest files are looked at.
const MANIFESTS_EVERY: Duration = Duration::from_millis(500);
/// How long the admin port goes on for those who are asking when it is told to stop.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);

/// Connections that may wait to be accepted. The usual 128 are soon full when many come at once; the next ones then try
/// again only after a second.
const BACKLOG: u32 = 4096;

/// How long a shadow may think about a request, which waits for it: less than its hooks wait.
const SHADOW_DECISION: Duration = Duration::from_millis(1500);

/// What a running server is made of.
struct Running {
    state: Arc<RwLock<State>>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Whether we lead: what reconciles subscribes to it. Never so without a cluster.
    leadership: watch::Sender<Option<Term>>,
    /// Asks the leader to cease, before the server does.
    resign: CancellationToken,
    provider: Arc<CryptoProvider>,
}

/// `outrigger serve`: runs until a signal; a second signal ends at once.
pub async fn serve(arguments: Serve) -> anyhow::Result<()> {
    let lines = log::start(&arguments.common.log, arguments.common.log_format)?;
    let gates = arguments.common.gates()?;
    open_files::allow_many();
    let stop = CancellationToken::new();
    let running = Running {
        state: Arc::new(RwLock::new(State::new(gates.clone()))),
        metrics: Arc::new(Metrics::new()),
        readiness: Readiness::default(),
        tasks: TaskTracker::new(),
        leadership: watch::Sender::default(),
        resign: stop.child_token(),
        stop,
        provider: Arc::new(aws_lc_rs::default_provider()),
    };
    running.reckon(lines.dropped());
    let signals = Signals::new()?;
    running.readiness.expect(self_check::CONDITION);
    let (objects, outside, cluster) = if let Some(folder) = &arguments.from {
        let (objects, outside) = running.follow_folder(folder, &arguments.common, gates)?;
        (Some(objects), outside, None)
    } else {
        let (outside, cluster) = running.follow_cluster(&arguments).await?;
        (None, outside, Some(cluster))
    };
    let serving = running.certificate(&arguments, cluster)?;
    let (listener, admin) = (bind(arguments.listen)?, bind(arguments.admin)?);
    let address = listener.local_addr()?;
    tracing::info!(reviews = %address, admin = %admin.local_addr()?, "serving");
    let hooks = if arguments.shadow { running.shadows(outside) } else { running.hooks(&outside) };
    running.listen(listener, hooks, &serving)?;
    running.tell(admin, objects, &lines.filter);
    running.check_itself(address, serving);
    let default_linger = if arguments.from.is_some() { 0 } else { 5 };
    let linger = arguments.linger.unwrap_or(default_linger);
    running.until(signals, Duration::from_secs(linger)).await
}

impl Running {
    fn follow_folder(&self, path: &Path, common: &Common, gates: Gates) -> anyhow::Result<(admin::Objects, Outside)> {
        let folder = Folder { path: path.to_owned(), own_namespace: common.namespace.clone(), gates };
        let seen = folder.stamp();
        let (state, all) = folder.load()?;
        *self.state.write() = state;
        let objects: Objects = Arc::new(RwLock::new(all));
        let follow = files::Follow {
            folder,
            seen,
            every: MANIFESTS_EVERY,
            state: self.state.clone(),
            objects: objects.clone(),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn(follow.run(self.stop.clone()));
        let settled = memory::settled(self.state.clone(), objects.clone(), Arc::new(now));
        let asked = offline::ask::asked(objects.clone());
        let outside = Outside { settled: Some(settled), asked: Some(asked), ..Outside::default() };
        Ok((Arc::new(move || objects.read().clone()), outside))
    }

    /// Follows the cluster; gives who answers the questions of handlers and who takes what they claim, and a client that sends each
    /// request once, with which certificates are kept.
    async fn follow_cluster(&self, arguments: &Serve) -> anyhow::Result<(Outside, Client)> {
        let (common, election) = (&arguments.common, &arguments.election);
        let times =
            Times::new(election.leader_elect_lease_duration, election.leader_elect_renew_deadline, election.leader_elect_retry_period)?;
        let cluster = client::find().await?;
        let heard = Heard { watches: self.metrics.watches.clone(), wall: Arc::new(now) };
        let heard = |repeats| client::heard(cluster.clone(), repeats, &heard);
        let (client, writer) = (heard(Repeats::Client)?, heard(Repeats::Caller)?);
        let (client, once) =
            if arguments.shadow { (client::reading(client), client::reading(writer.clone())) } else { (client, writer.clone()) };
        let (touched, incoming) = mpsc::unbounded_channel();
        // Who only watches does nothing about what changes.
        let interested = (!arguments.shadow).then_some(touched);
        let feed = Feed::new(self.state.clone(), self.readiness.clone(), self.metrics.clone(), interested);
        let feed = if arguments.shadow { feed.as_guest() } else { feed };
        feed.expect();
        self.tasks.spawn(feed.clone().sets(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().revisions(client.clone(), common.namespace.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().pods(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().budgets(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().spreads(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().all_workloads(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().namespaces(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().configuration(client.clone(), common.namespace.clone(), self.stop.clone()));
        let (told, queue) = Queue::new(Teller::new(once.clone(), self.metrics.clone()), self.metrics.clone(), Arc::new(now));
        self.tasks.spawn(queue.run(self.stop.clone()));
        let turnstile = Counter::new(once.clone(), feed.clone(), self.tasks.clone(), Arc::new(now));
        if arguments.shadow {
            // Nothing is reconciled; whoever keeps certificates writes them only where they differ.
            self.leadership.send_replace(Some(Term::without_election(&self.resign)));
        } else {
            self.stand_for_election(client.clone(), times, common, election)?;
            self.reconcile(once, feed, common.namespace.clone(), incoming);
        }
        let (asked, settled) = (ask::asked(client, &common.namespace), turnstile.settled());
        Ok((Outside { asked: Some(asked), settled: Some(settled), told: Some(told), ..Outside::default() }, writer))
    }

    fn reconcile(&self, client: Client, feed: Feed, own_namespace: String, touched: mpsc::UnboundedReceiver<Key>) {
        let runner = Runner {
            planner: Planner { state: self.state.clone(), facts: Facts::new(client.clone()), own_namespace, wall: Arc::new(now) },
            apply: Apply::new(client.clone(), feed.clone()),
            teller: Teller::new(client.clone(), self.metrics.clone()),
            metrics: self.metrics.clone(),
        };
        let lifter =
            Lifter { protected: Protected::new(client.clone()), teller: Teller::new(client, self.metrics.clone()), wall: Arc::new(now) };
        self.tasks.spawn(lifter.run(self.leadership.subscribe(), self.stop.clone()));
        let leadership = self.leadership.subscribe();
        self.tasks.spawn(runner.run(leadership, touched, move || feed.is_synced(), self.stop.clone()));
    }

    fn stand_for_election(&self, client: Client, times: Times, common: &Common, election: &Election) -> anyhow::Result<()> {
        if !election.leader_elect {
            self.metrics.leader.set(1);
            self.leadership.send_replace(Some(Term::without_election(&self.resign)));
            return Ok(());
        }
        let candidacy = Candidacy {
            client,
            namespace: common.namespace.clone(),
            identity: Identity::new(election.pod_name.as_deref(), self.provider.secure_random)?,
            times,
            wall: Arc::new(now),
            metrics: self.metrics.clone(),
        };
        self.tasks.spawn(candidacy.run(self.resign.clone(), self.leadership.clone()));
        Ok(())
    }

    /// All that the API server asks for.
    fn hooks(&self, outside: &Outside) -> Router {
        let limits = Limits::default();
        let hooks = handlers::TABLE.iter().map(|hook| (hook.path, hook.handler));
        http::router(hooks, &self.state, &self.metrics, &limits, outside).merge(http::conversions(&self.metrics, &limits))
    }

    /// The same, where nothing is done and it is only told what would have been. Conversions are work, and are left to others.
    fn shadows(&self, outside: Outside) -> Router {
        tracing::info!("a shadow: every request passes as it is, and nothing is written but its own certificate");
        let hooks = handlers::TABLE.iter().map(|hook| (hook.path, hook.handler));
        let limits = Limits { decision: SHADOW_DECISION, ..Limits::default() };
        http::router(hooks, &self.state, &self.metrics, &limits, &outside.watching())
    }

    fn listen(&self, listener: TcpListener, hooks: Router, serving: &Arc<Serving>) -> anyhow::Result<()> {
        let (tls, counted) = (serving.acceptor(&self.provider)?, self.metrics.connections.clone());
        let door = tls::Door { tls, router: hooks, counted, leaving: self.resign.clone() };
        self.tasks.spawn(tls::serve(listener, door, Limits::default(), self.stop.clone()));
        Ok(())
    }

    /// Health, metrics and, where there is no cluster, the objects.
    fn tell(&self, listener: TcpListener, objects: Option<admin::Objects>, filter: &log::Filter) {
        let router = admin::router(self.readiness.clone(), self.metrics.clone(), objects).merge(admin::log_level(filter.clone()));
        self.tasks.spawn(plain(listener, router, self.stop.clone()));
    }

    /// Numbers that are found out when somebody asks for them.
    fn reckon(&self, dropped_lines: impl Fn() -> usize + Send + Sync + 'static) {
        let (state, readiness) = (self.state.clone(), self.readiness.clone());
        self.metrics.reckon(move |metrics| {
            metrics.ready.set(readiness.check().is_ok().into());
            metrics.log_lines_dropped(dropped_lines());
            for (kind, count) in state.read().snapshot().counts() {
                metrics.objects(kind, count);
            }
        });
    }

    /// Asks the first hook a question, and is ready when it answers.
    fn check_itself(&self, address: SocketAddr, serving: Arc<Serving>) {
        let Some(hook) = handlers::TABLE.first() else { return };
        let (provider, readiness) = (self.provider.clone(), self.readiness.clone());
        let check = SelfCheck { address, path: hook.path, serving, provider, readiness };
        self.tasks.spawn(check.run(self.stop.clone()));
    }

    /// Waits for a signal; then is not ready any more and leads no more, goes on answering for `linger`, drains and ends.
    async fn until(self, mut signals: Signals, linger: Duration) -> anyhow::Result<()> {
        signals.next().await;
        tracing::info!("stopping");
        self.readiness.stop();
        self.resign.cancel();
        let end = async {
            tokio::time::sleep(linger).await;
            self.stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        };
        tokio::select! {
            () = end => Ok(()),
            () = signals.next() => bail!("ended by a second signal before all requests were answered"),
        }
    }
}

/// Serves health and metrics until `stop`. Whoever is still asking then gets a moment; a client that has stopped half way
/// through its request would otherwise be waited for without end.
async fn plain(listener: TcpListener, router: Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
    let cut = async {
        stop.cancelled().await;
        tokio::time::sleep(ADMIN_DRAIN).await;
    };
    tokio::select! {
        result = served => if let Err(error) = result { tracing::error!(%error, "the admin port is closed") },
        () = cut => {}
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("cannot listen on {address}"))
}

/// The one place where the offline doors and the start read the clock.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "time enters the program here and in the server")]
    Timestamp::now()
}
