//! A replica that keeps its certificates by itself, over the scripted API server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use outrigger::{
    base::installation::DEFINITIONS,
    cluster::{
        bundles::{Bundles, Callees},
        lease::Term,
        secret::OneSecret,
    },
    controllers::certificates::SelfManaged,
    server::{
        admin::Readiness,
        authority::{Certificate, Times, certificates},
        certs::Serving,
    },
    telemetry::metrics::Metrics,
};
use parking_lot::Mutex;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api_server::{ApiServer, Asked, Fate},
    world::pki::provider,
};

pub(crate) const START: i64 = 1_763_795_520;
pub(crate) const TIMES: Times = Times { ca: 12_000, leaf: 1_200, settle: 60 };
pub(crate) const SECRET: &str = "secrets/own/outrigger-authority";
pub(crate) const MUTATING: &str = "mutatingwebhookconfigurations//outrigger";

/// A cluster with everything of ours in it but a CA.
pub(crate) struct World {
    pub(crate) api: ApiServer,
    begin: Instant,
    /// Bundles that were read before.
    parsed: Mutex<HashMap<String, Vec<Certificate>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { api: ApiServer::default(), begin: Instant::now(), parsed: Mutex::default() };
        for kind in ["mutating", "validating"] {
            world.install(&format!("{kind}webhookconfigurations"), &["a", "b"]);
        }
        for name in DEFINITIONS {
            let client = service("outrigger-conversion");
            let conversion = json!({"strategy": "Webhook", "webhook": {"clientConfig": client}});
            world.api.put("customresourcedefinitions", json!({"metadata": {"name": name}, "spec": {"conversion": conversion}}));
        }
        world
    }

    /// Applies a configuration as it is rendered: without bundles.
    pub(crate) fn install(&self, resource: &str, hooks: &[&str]) {
        let hooks: Vec<_> =
            hooks.iter().map(|name| json!({"name": name, "clientConfig": service("outrigger-webhook"), "namespaceSelector": {}})).collect();
        self.api.put(resource, json!({"metadata": {"name": "outrigger"}, "webhooks": hooks}));
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        START + i64::try_from(self.begin.elapsed().as_secs()).unwrap()
    }

    /// What each hook and each definition carries.
    pub(crate) fn bundles(&self) -> Vec<Vec<Certificate>> {
        let configurations = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"].map(|resource| self.api.all(resource));
        let hooks = configurations
            .iter()
            .flatten()
            .flat_map(|object| object["webhooks"].as_array().unwrap().iter().map(|hook| &hook["clientConfig"]));
        let definitions = self.api.all("customresourcedefinitions");
        let conversions = definitions.iter().map(|object| &object["spec"]["conversion"]["webhook"]["clientConfig"]);
        hooks.chain(conversions).map(|client| self.parsed(client["caBundle"].as_str().unwrap_or_default())).collect()
    }

    fn parsed(&self, bundle: &str) -> Vec<Certificate> {
        let read = || certificates(&BASE64_STANDARD.decode(bundle).unwrap()).unwrap_or_default();
        self.parsed.lock().entry(bundle.to_owned()).or_insert_with(read).clone()
    }

    /// What the Secret holds under a name.
    pub(crate) fn held(&self, name: &str) -> Vec<u8> {
        BASE64_STANDARD.decode(self.api.object(SECRET)["data"][name].as_str().unwrap_or_default()).unwrap()
    }

    pub(crate) fn signing(&self) -> Certificate {
        certificates(&self.held("ca.crt")).unwrap().remove(0)
    }

    pub(crate) fn writes(&self, what: &str) -> usize {
        self.api.asked().iter().filter(|asked| asked.is(what) && asked.is_stored).count()
    }

    /// All writes of bundles.
    pub(crate) fn bundle_writes(&self) -> usize {
        let kinds = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations", "customresourcedefinitions"];
        kinds.iter().map(|kind| self.writes(&format!("PATCH {kind}"))).sum()
    }
}

fn service(name: &str) -> Value {
    json!({"service": {"namespace": "own", "name": name, "path": "/x", "port": 443}})
}

/// A replica under way; killed when dropped.
pub(crate) struct Replica {
    pub(crate) serving: Arc<Serving>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readiness: Readiness,
    pub(crate) bell: Arc<Notify>,
    leadership: watch::Sender<Option<Term>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Signatures that were looked at before: a test asks about the same ones every second.
    verified: Mutex<HashMap<Signature, bool>>,
}

/// A served certificate, and who is to have signed it.
type Signature = (Vec<u8>, Arc<[u8]>);

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replica {
    pub(crate) fn start(world: &World) -> Self {
        Self::whose(world, |_| Fate::GOOD)
    }

    /// One whose clock is ahead by so many seconds.
    pub(crate) fn ahead(world: &World, seconds: i64) -> Self {
        Self::with(world, |_| Fate::GOOD, seconds)
    }

    /// One whose requests fare as `fate` says.
    pub(crate) fn whose(world: &World, fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        Self::with(world, fate, 0)
    }

    fn with(world: &World, fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static, ahead: i64) -> Self {
        let client = world.api.client(fate);
        let (begin, stop, leadership) = (world.begin, CancellationToken::new(), watch::Sender::default());
        let callees = Callees {
            namespace: "own".to_owned(),
            services: ["outrigger-webhook", "outrigger-conversion"].map(str::to_owned),
            hosts: Vec::new(),
        };
        let managed = SelfManaged {
            secret: OneSecret { client: client.clone(), namespace: "own".to_owned(), name: "outrigger-authority".to_owned() },
            bundles: Bundles { client, configuration: "outrigger".to_owned(), callees, definitions: &DEFINITIONS },
            bell: Arc::new(Notify::new()),
            serving: Arc::new(Serving::default()),
            names: vec!["outrigger-webhook.own.svc".to_owned()],
            times: TIMES,
            provider: provider(),
            wall: Arc::new(move || Timestamp::from_second(START + ahead + i64::try_from(begin.elapsed().as_secs()).unwrap()).unwrap()),
            metrics: Arc::new(Metrics::new()),
            readiness: Readiness::default(),
        };
        managed.expect();
        let (serving, metrics, readiness) = (managed.serving.clone(), managed.metrics.clone(), managed.readiness.clone());
        let bell = managed.bell.clone();
        let task = TaskTracker::new().spawn(managed.run(leadership.subscribe(), stop.clone()));
        Self { serving, metrics, readiness, bell, leadership, stop, task, verified: Mutex::default() }
    }

    /// Another one does.
    pub(crate) fn leads_no_more(&self) {
        self.leadership.send_replace(None);
    }

    pub(crate) fn stops(&self) {
        self.stop.cancel();
    }

    pub(crate) fn leads(self) -> Self {
        self.leadership.send_replace(Some(Term::without_election(&self.stop)));
        self
    }

    /// Whether an API server that trusts this bundle believes what is served.
    pub(crate) fn is_believed(&self, bundle: &[Certificate], now: i64) -> bool {
        let Some(leaf) = self.serving.leaf() else { return false };
        let is_valid = self.metrics.certificate_expiry.get() > now;
        let mut verified = self.verified.lock();
        let mut has_signed =
            |ca: &Certificate| *verified.entry((leaf.to_vec(), Arc::clone(&ca.der))).or_insert_with(|| verify(&leaf, ca, now));
        is_valid && bundle.iter().any(|ca| ca.ends > now && has_signed(ca))
    }

    /// Whether all hooks believe it.
    pub(crate) fn is_believed_by_all(&self, world: &World) -> bool {
        world.bundles().iter().all(|bundle| self.is_believed(bundle, world.now()))
    }

    pub(crate) fn why_not_ready(&self) -> String {
        self.readiness.check().err().unwrap_or_default()
    }
}

fn verify(leaf: &CertificateDer<'_>, ca: &Certificate, now: i64) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der.to_vec())).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
    let name = ServerName::try_from("outrigger-webhook.own.svc").unwrap();
    verifier.verify_server_cert(leaf, &[], &name, &[], now).is_ok()
}

/// Lets time pass, second by second; each second something may be looked at.
pub(crate) async fn passes(seconds: i64, mut look: impl FnMut()) {
    for _ in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        look();
    }
}

/// The same, as long as it takes.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("waited in vain: {what}");
}

/// For the requests that are on their way, and then some.
pub(crate) async fn a_while() {
    sleep(Duration::from_secs(5)).await;
}

/// A fate that can be changed.
#[derive(Clone)]
pub(crate) struct Weather(Arc<Mutex<Fate>>);

impl Weather {
    pub(crate) fn fair() -> Self {
        Self(Arc::new(Mutex::new(Fate::GOOD)))
    }

    pub(crate) fn is(&self, fate: Fate) {
        *self.0.lock() = fate;
    }

    pub(crate) fn fate(&self) -> Fate {
        *self.0.lock()
    }
}
