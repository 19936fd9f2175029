//! Puts the rooms together: what starts in which order, and what ends in which.

use std::{
    future::IntoFuture,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::Router;
use jiff::Timestamp;
use kube::Client;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    args::{Common, Election, Inject, Manifests, Review, Serve},
    base::gates::Gates,
    cluster::{
        apply::Apply,
        ask,
        claims::Counter,
        client::{self, Repeats},
        events::Teller,
        facts::Facts,
        lease::{Candidacy, Term, election::Times, identity::Identity},
        protected::Protected,
        watch::Feed,
    },
    controllers::{Planner, protection::Lifter, runner::Runner},
    handlers,
    manifests::{self, Rendering},
    offline::{
        self, claims as memory,
        documents::{self, Document},
        files::{self, Folder, Objects},
        pods, reviews,
    },
    plan::Key,
    server::{
        Limits,
        admin::{self, Readiness},
        certs::{Files, Follow, Pem, Serving},
        http::{self, Outside},
        open_files,
        self_check::{self, SelfCheck},
        throwaway, tls,
    },
    state::State,
    telemetry::{log, metrics::Metrics},
};

/// How often manifest files are looked at.
const MANIFESTS_EVERY: Duration = Duration::from_millis(500);
/// How often certificate files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);
/// How long the admin port goes on for those who are asking when it is told to stop.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);

/// Connections that may wait to be accepted. The usual 128 are soon full when many come at once; the next ones then try
/// again only after a second.
const BACKLOG: u32 = 4096;

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
    log::start(&arguments.common.log, arguments.common.log_format)?;
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
    let signals = Signals::new()?;
    running.readiness.expect(self_check::CONDITION);
    let (objects, outside) = if let Some(folder) = &arguments.from {
        let (objects, outside) = running.follow_folder(folder, &arguments.common, gates)?;
        (Some(objects), outside)
    } else {
        (None, running.follow_cluster(&arguments).await?)
    };
    let serving = running.certificate(&arguments)?;
    let (listener, admin) = (bind(arguments.listen)?, bind(arguments.admin)?);
    let address = listener.local_addr()?;
    tracing::info!(reviews = %address, admin = %admin.local_addr()?, "serving");
    let hooks = running.hooks(&outside);
    running.listen(listener, hooks, &serving)?;
    running.tell(admin, objects);
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
        Ok((Arc::new(move || objects.read().clone()), Outside { settled: Some(settled), asked: Some(asked) }))
    }

    /// Follows the cluster; gives who answers the questions of handlers, and who takes what they claim.
    async fn follow_cluster(&self, arguments: &Serve) -> anyhow::Result<Outside> {
        let (common, election) = (&arguments.common, &arguments.election);
        let times =
            Times::new(election.leader_elect_lease_duration, election.leader_elect_renew_deadline, election.leader_elect_retry_period)?;
        let cluster = client::find().await?;
        let client = client::client(cluster.clone(), Repeats::Client)?;
        self.stand_for_election(client.clone(), times, common, election)?;
        let (touched, incoming) = mpsc::unbounded_channel();
        let feed = Feed::new(self.state.clone(), self.readiness.clone(), self.metrics.clone(), Some(touched));
        feed.expect();
        self.tasks.spawn(feed.clone().sets(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().revisions(client.clone(), common.namespace.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().pods(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().budgets(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().spreads(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().all_workloads(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().namespaces(client.clone(), self.stop.clone()));
        self.tasks.spawn(feed.clone().configuration(client.clone(), common.namespace.clone(), self.stop.clone()));
        let once = client::client(cluster, Repeats::Caller)?;
        let turnstile = Counter::new(once.clone(), feed.clone(), self.tasks.clone(), Arc::new(now));
        self.reconcile(once, feed, common.namespace.clone(), incoming);
        Ok(Outside { asked: Some(ask::asked(client, &common.namespace)), settled: Some(turnstile.settled()) })
    }

    fn reconcile(&self, client: Client, feed: Feed, own_namespace: String, touched: mpsc::UnboundedReceiver<Key>) {
        let runner = Runner {
            planner: Planner { state: self.state.clone(), facts: Facts::new(client.clone()), own_namespace, wall: Arc::new(now) },
            apply: Apply::new(client.clone(), feed.clone()),
            teller: Teller::new(client.clone()),
            metrics: self.metrics.clone(),
        };
        let lifter = Lifter {
            protected: Protected::new(client.clone()),
            teller: Teller::named(client, "protection-controller"),
            wall: Arc::new(now),
        };
        self.tasks.spawn(lifter.run(self.leadership.subscribe(), self.stop.clone()));
        let leadership = self.leadership.subscribe();
        self.tasks.spawn(runner.run(leadership, touched, move || feed.is_synced(), self.stop.clone()));
    }

    fn stand_for_election(&self, client: Client, times: Times, common: &Common, election: &Election) -> anyhow::Result<()> {
        if !election.leader_elect {
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

    /// The serving certificate: from files, or made for a server without a cluster.
    fn certificate(&self, arguments: &Serve) -> anyhow::Result<Arc<Serving>> {
        let serve = |pem: &Pem| Serving::new(pem, &self.provider, &self.metrics);
        if let (Some(chain), Some(key)) = (&arguments.tls_cert_file, &arguments.tls_key_file) {
            let files = Files { chain: chain.clone(), key: key.clone() };
            let loaded = files.read()?;
            let serving = serve(&loaded).with_context(|| chain.display().to_string())?;
            let follow = Follow {
                files,
                loaded,
                every: CERTIFICATE_EVERY,
                serving: serving.clone(),
                provider: self.provider.clone(),
                metrics: self.metrics.clone(),
            };
            self.tasks.spawn(follow.run(self.stop.clone()));
            return Ok(serving);
        }
        if arguments.from.is_none() {
            bail!("in a cluster a certificate is needed: --tls-cert-file and --tls-key-file");
        }
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let pem = throwaway::pair(&arguments.certs, &names, now())?;
        tracing::info!(ca = %arguments.certs.join("ca.crt").display(), "a throw-away certificate is served");
        Ok(serve(&pem)?)
    }

    /// All that the API server asks for.
    fn hooks(&self, outside: &Outside) -> Router {
        let limits = Limits::default();
        let hooks = handlers::TABLE.iter().map(|hook| (hook.path, hook.handler));
        http::router(hooks, &self.state, &self.metrics, &limits, outside).merge(http::conversions(&self.metrics, &limits))
    }

    fn listen(&self, listener: TcpListener, hooks: Router, serving: &Arc<Serving>) -> anyhow::Result<()> {
        let acceptor = serving.acceptor(&self.provider)?;
        self.tasks.spawn(tls::serve(listener, acceptor, hooks, Limits::default(), self.stop.clone()));
        Ok(())
    }

    /// Health, metrics and, where there is no cluster, the objects.
    fn tell(&self, listener: TcpListener, objects: Option<admin::Objects>) {
        let router = admin::router(self.readiness.clone(), self.metrics.clone(), objects);
        self.tasks.spawn(plain(listener, router, self.stop.clone()));
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
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
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

/// The signals that ask for an end.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The one place where the offline doors and the start read the clock.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "time enters the program here and in the server")]
    Timestamp::now()
}

fn offline_state(folder: &Path, common: &Common) -> anyhow::Result<(State, Vec<serde_json::Value>)> {
    log::start(&common.log, common.log_format)?;
    let gates = common.gates()?;
    let folder = Folder { path: folder.to_owned(), own_namespace: common.namespace.clone(), gates };
    Ok(folder.load()?)
}

fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(documents::read(file)?);
    }
    Ok(all)
}

/// `outrigger inject`
pub fn inject(arguments: &Inject) -> anyhow::Result<()> {
    let (state, _) = offline_state(&arguments.from, &arguments.common)?;
    let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
    for (index, document) in read_all(&arguments.files)?.iter().enumerate() {
        let injected = pods::inject(document, &state, now())?;
        for warning in &injected.warnings {
            writeln!(notes, "Warning: {warning}")?;
        }
        if arguments.why {
            for reason in &injected.reasons {
                writeln!(notes, "{} document {}: set {:?}: {}", document.file, document.number, reason.subject, reason.text)?;
            }
        }
        if index > 0 && arguments.output == pods::Output::Yaml {
            writeln!(out, "---")?;
        }
        out.write_all(injected.shown(arguments.output).map_err(|problem| document.error(".", problem))?.as_bytes())?;
    }
    Ok(())
}

/// `outrigger review`
pub fn review(arguments: &Review) -> anyhow::Result<()> {
    let (mut state, objects) = offline_state(&arguments.from, &arguments.common)?;
    let mut out = io::stdout().lock();
    for document in read_all(&arguments.files)? {
        writeln!(out, "{}", reviews::answer(&document, &mut state, &objects, now())?)?;
    }
    Ok(())
}

/// `outrigger manifests`
pub fn manifests(arguments: &Manifests) -> anyhow::Result<()> {
    let rendering = Rendering { namespace: arguments.namespace.clone(), strict: arguments.strict, ..Rendering::default() };
    match &arguments.out {
        None => {
            let mut out = io::stdout().lock();
            for file in manifests::files(&rendering)? {
                writeln!(out, "---\n# {}\n{}", file.path.display(), file.text)?;
            }
            Ok(())
        }
        Some(out) if arguments.check => {
            let differences = manifests::check(&rendering, out)?;
            if differences.is_empty() {
                return Ok(());
            }
            let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
            bail!("{} is not what would be rendered:\n{}", out.display(), lines.join("\n"))
        }
        Some(out) => Ok(manifests::write(&rendering, out)?),
    }
}
