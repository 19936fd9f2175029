//! One watch for each kind, feeding [`State`]. Lists are streamed, so that a large cluster is never held twice; an API
//! server that does not stream is listed page by page.
//!
//! What cannot be decoded is counted and forgotten, never a reason to stop: one broken object must not blind the server.

mod backoff;
mod kinds;
pub(super) mod older;
mod workloads;

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, future::join_all};
use k8s_openapi::api::{apps::v1::ControllerRevision, core::v1};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event},
    },
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::{backoff::Pauses, kinds::WatchedPod};
use self::{
    kinds::{Budgets, Configuration, Kind, Namespaces, Pods, Revisions, Sets, Spreads},
    older::Older,
    workloads::{
        AdvancedStatefulSets, CloneSets, Deployments, Jobs, Mirrored, ReplicaSets, ReplicationControllers, StatefulSets, WatchedWorkload,
        Workloads,
    },
};
use crate::{
    base::interned::Interner,
    plan::{self, Key},
    server::admin::Readiness,
    sidecarset::whitelist::CONFIGURATION,
    state::State,
    telemetry::metrics::Metrics,
};

/// A kind that is not served is looked for again after this long: its definition may come any time.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// What every watch writes to.
#[derive(Clone)]
pub struct Feed {
    /// The picture.
    pub state: Arc<RwLock<State>>,
    /// Who waits for the first lists.
    pub readiness: Readiness,
    /// Where trouble is counted.
    pub metrics: Arc<Metrics>,
    /// Texts that pods have in common.
    pub interner: Arc<Mutex<Interner>>,
    /// Who wants to know which objects there may be work for.
    pub touched: Option<mpsc::UnboundedSender<Key>>,
    /// Whether the definitions of our kinds are somebody else's.
    is_guest: bool,
    older: Arc<Mutex<Older>>,
}

/// What readiness waits for.
const LISTS: [&str; 5] = [Sets::CONDITION, Revisions::CONDITION, Namespaces::CONDITION, Pods::CONDITION, Configuration::CONDITION];
/// And besides, if it matters whose pods are. What need not be served is not waited for.
const LISTS_OF_WORKLOADS: [&str; 4] =
    [Deployments::CONDITION, ReplicaSets::CONDITION, StatefulSets::CONDITION, ReplicationControllers::CONDITION];

impl Feed {
    /// Feeds this picture.
    pub fn new(
        state: Arc<RwLock<State>>,
        readiness: Readiness,
        metrics: Arc<Metrics>,
        touched: Option<mpsc::UnboundedSender<Key>>,
    ) -> Self {
        Self { state, readiness, metrics, interner: Arc::default(), touched, is_guest: false, older: Arc::default() }
    }

    /// Changes the picture, and passes on what that touches.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, touched, unguarded) = {
            let mut state = self.state.write();
            (change(&mut state), state.take_touched(), state.snapshot().budgets.not_enforcing())
        };
        self.metrics.budgets_not_enforcing.set(i64::try_from(unguarded).unwrap_or(i64::MAX));
        if let Some(interested) = &self.touched {
            for key in touched {
                // Nobody is interested any more while the program ends.
                let _ = interested.send(key);
            }
        }
        result
    }

    /// Names what readiness waits for.
    pub fn expect(&self) {
        for condition in self.lists() {
            self.readiness.expect(condition);
        }
    }

    fn lists(&self) -> Vec<&'static str> {
        let gates = self.state.read().snapshot().gates.clone();
        let of_workloads = LISTS_OF_WORKLOADS.into_iter().filter(|_| gates.needs_workloads());
        let of_budgets = gates.has_budgets().then_some(Budgets::CONDITION);
        let of_spreads = gates.spreads.then_some(Spreads::CONDITION);
        LISTS.into_iter().chain(of_workloads).chain(of_budgets).chain(of_spreads).collect()
    }

    /// Whether everything was listed once.
    pub fn is_synced(&self) -> bool {
        self.readiness.holds(&self.lists())
    }

    /// Follows SidecarSets until `stop`.
    pub async fn sets(self, client: Client, stop: CancellationToken) {
        self.our_kind::<Sets>(plan::Kind::SIDECAR_SET, client, stop).await;
    }

    /// Follows the ControllerRevisions of our own namespace until `stop`.
    pub async fn revisions(self, client: Client, namespace: String, stop: CancellationToken) {
        let resource = ApiResource::erase::<ControllerRevision>(&());
        let api = Api::<DynamicObject>::namespaced_with(client, &namespace, &resource);
        self.follow::<Revisions, _>(stop, |config| watcher::watcher(api.clone(), config).boxed()).await;
    }

    /// Follows the `ConfigMap` [`CONFIGURATION`] of our own namespace until `stop`.
    pub async fn configuration(self, client: Client, namespace: String, stop: CancellationToken) {
        let api = Api::<v1::ConfigMap>::namespaced(client, &namespace);
        let only = format!("metadata.name={CONFIGURATION}");
        self.follow::<Configuration, _>(stop, |config| watcher::watcher(api.clone(), config.fields(&only)).boxed()).await;
    }

    /// Follows the names and labels of namespaces until `stop`.
    pub async fn namespaces(self, client: Client, stop: CancellationToken) {
        let api = Api::<PartialObjectMeta<v1::Namespace>>::all(client);
        self.follow::<Namespaces, _>(stop, |config| watcher::watcher(api.clone(), config).boxed()).await;
    }

    /// Follows pods, in small, until `stop`.
    pub async fn pods(self, client: Client, stop: CancellationToken) {
        let api = Api::<WatchedPod>::all(client);
        self.follow::<Pods, _>(stop, |config| watcher::watcher(api.clone(), config).boxed()).await;
    }

    /// Follows budgets until `stop`. Nothing if no budget guards anything.
    pub async fn budgets(self, client: Client, stop: CancellationToken) {
        if self.state.read().snapshot().gates.has_budgets() {
            self.our_kind::<Budgets>(plan::Kind::BUDGET, client, stop).await;
        }
    }

    /// Follows spreads until `stop`. Nothing if no pods are placed.
    pub async fn spreads(self, client: Client, stop: CancellationToken) {
        if self.state.read().snapshot().gates.spreads {
            self.our_kind::<Spreads>(plan::Kind::SPREAD, client, stop).await;
        }
    }

    async fn our_kind<K: Kind<Object = DynamicObject>>(self, kind: plan::Kind, client: Client, stop: CancellationToken) {
        if let Some(resource) = self.found(kind, K::CONDITION, &client, &stop).await {
            let api = Api::<DynamicObject>::all_with(client, &resource);
            self.follow::<K, _>(stop, |config| watcher::watcher(api.clone(), config).boxed()).await;
        }
    }

    /// Follows the workloads that say how many pods there should be, and whose they are, until `stop`. Nothing if nobody looks at them.
    pub async fn all_workloads(self, client: Client, stop: CancellationToken) {
        if !self.state.read().snapshot().gates.needs_workloads() {
            return;
        }
        let (client, stop) = (&client, &stop);
        let workloads = [
            self.clone().workloads::<Deployments>(client, stop).boxed(),
            self.clone().workloads::<ReplicaSets>(client, stop).boxed(),
            self.clone().workloads::<StatefulSets>(client, stop).boxed(),
            self.clone().workloads::<ReplicationControllers>(client, stop).boxed(),
            self.clone().workloads::<CloneSets>(client, stop).boxed(),
            self.clone().workloads::<AdvancedStatefulSets>(client, stop).boxed(),
            self.jobs(client, stop).boxed(),
        ];
        join_all(workloads).await;
    }

    /// Only spreads look at them.
    async fn jobs(self, client: &Client, stop: &CancellationToken) {
        if self.state.read().snapshot().gates.spreads {
            let api = Api::<WatchedWorkload>::all_with(client.clone(), &Jobs::resource());
            self.follow::<Jobs, _>(stop.clone(), |config| watcher::watcher(api.clone(), config).boxed()).await;
        }
    }

    async fn workloads<M: Mirrored>(self, client: &Client, stop: &CancellationToken) {
        let api = Api::<WatchedWorkload>::all_with(client.clone(), &M::resource());
        self.follow::<Workloads<M>, _>(stop.clone(), |config| watcher::watcher(api.clone(), config).boxed()).await;
    }

    /// Feeds the events of a watch to the state; begins again with paged lists if the API server does not stream them.
    async fn follow<K: Kind, S>(self, stop: CancellationToken, watch: impl Fn(Config) -> S)
    where
        S: Stream<Item = watcher::Result<Event<K::Object>>> + Send,
        K::Object: Debug,
    {
        let mut config = Config::default().streaming_lists();
        while !stop.is_cancelled() {
            let mut events = watch(config.clone()).backoff(Pauses::default()).take_until(stop.cancelled()).boxed();
            let mut listed = Vec::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => self.take::<K>(&mut listed, event),
                    Err(error) if is_no_streaming(&error) && config != Config::default() => {
                        tracing::info!(kind = K::CONDITION, "the API server does not stream lists; listing page by page");
                        config = Config::default();
                        break;
                    }
                    Err(error) if is_not_served(&error) && !self.lists().contains(&K::CONDITION) => {
                        self.change(K::forget);
                        tracing::debug!(kind = K::CONDITION, "the API server does not know this kind");
                        drop(events);
                        drop(tokio::time::timeout(LOOK_AGAIN, stop.cancelled()).await);
                        break;
                    }
                    // The watch goes on by itself after a while.
                    Err(error) => self.trouble::<K>(&error),
                }
            }
        }
    }

    fn trouble<K: Kind>(&self, error: &watcher::Error) {
        self.metrics.watches.restarted(K::RESOURCE);
        self.readiness.explain(K::CONDITION, error.to_string());
        tracing::warn!(kind = K::CONDITION, %error, "the watch was interrupted");
    }

    /// Takes in one event. Listed objects are gathered until the list is whole.
    fn take<K: Kind>(&self, listed: &mut Vec<K::Kept>, event: Event<K::Object>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.extend(self.keep::<K>(object).map(|kept| K::lighten(&self.state.read(), kept))),
            Event::InitDone => {
                let count = listed.len();
                let errors = self.change(|state| K::reset(state, std::mem::take(listed)));
                for error in errors {
                    self.unusable(&error.to_string());
                }
                self.readiness.report(K::CONDITION, Ok(()));
                tracing::info!(kind = K::CONDITION, count, "listed");
            }
            Event::Apply(object) => {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                let Ok(kept) = self.keep::<K>(object) else { return self.change(|state| K::delete(state, &namespace, &name)) };
                let applied = self.change(|state| K::apply(state, kept));
                if let Err(error) = applied {
                    self.unusable(&error.to_string());
                }
            }
            Event::Delete(object) => self.change(|state| K::gone(state, &object)),
        }
    }

    fn keep<K: Kind>(&self, object: K::Object) -> Result<K::Kept, ()> {
        let name = object.name_any();
        K::keep(object, &self.interner).map_err(|error| self.unusable(&format!("{} {name}: {error}", K::CONDITION)))
    }

    fn unusable(&self, problem: &str) {
        self.metrics.unusable.inc();
        tracing::error!("a stored object cannot be used: {problem}");
    }
}

/// Whether an API server says that it does not know how to stream a list (it was made before 1.32, or told not to).
fn is_no_streaming(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    match error {
        WatchStartFailed(kube::Error::Api(status)) | InitialListFailed(kube::Error::Api(status)) | WatchError(status) => {
            matches!(status.code, 400 | 422)
        }
        _ => false,
    }
}

/// Whether an API server says that there is no such kind.
fn is_not_served(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    match error {
        WatchStartFailed(kube::Error::Api(status)) | InitialListFailed(kube::Error::Api(status)) | WatchError(status) => status.code == 404,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::stream;
    use kube::core::{ObjectMeta, Status};

    use super::*;

    fn named(name: &str) -> PartialObjectMeta<v1::Namespace> {
        PartialObjectMeta { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..PartialObjectMeta::default() }
    }

    fn feed() -> Feed {
        let feed = Feed::new(Arc::default(), Readiness::default(), Arc::default(), None);
        feed.expect();
        feed
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_stream_lists_is_listed_page_by_page() {
        let (feed, stop) = (feed(), CancellationToken::new());
        let stopping = stop.clone();
        let watch = |config: Config| {
            let events = if config == Config::default() {
                vec![Ok(Event::Init), Ok(Event::InitApply(named("shop"))), Ok(Event::InitDone), Ok(Event::Apply(named("bank")))]
            } else {
                let refusal = Status { code: 422, ..Status::default() };
                vec![Err(watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(refusal))))]
            };
            let (stopping, is_paged) = (stopping.clone(), config == Config::default());
            stream::iter(events).chain(stream::poll_fn(move |_| {
                if is_paged {
                    stopping.cancel();
                }
                Poll::Ready(None)
            }))
        };
        feed.clone().follow::<Namespaces, _>(stop, watch).await;
        let state = feed.state.read();
        assert!(state.snapshot().namespace_labels("shop").is_some() && state.snapshot().namespace_labels("bank").is_some());
    }

    #[test]
    fn a_kind_is_ready_when_its_list_is_whole_and_not_before() {
        let feed = feed();
        let mut listed = Vec::new();
        feed.take::<Namespaces>(&mut listed, Event::Init);
        feed.take::<Namespaces>(&mut listed, Event::InitApply(named("shop")));
        assert!(feed.readiness.check().unwrap_err().contains("namespaces: not yet"));
        assert!(feed.state.read().snapshot().namespace_labels("shop").is_none(), "half a list was seen");
        feed.take::<Namespaces>(&mut listed, Event::InitDone);
        let unmet = feed.readiness.check().unwrap_err();
        assert!(!unmet.contains("namespaces") && unmet.contains("sidecarsets: not yet"), "{unmet}");
    }

    #[test]
    fn a_new_list_forgets_what_is_not_in_it() {
        let feed = feed();
        let mut listed = Vec::new();
        for name in ["shop", "bank"] {
            for event in [Event::Init, Event::InitApply(named(name)), Event::InitDone] {
                feed.take::<Namespaces>(&mut listed, event);
            }
        }
        feed.take::<Namespaces>(&mut listed, Event::Delete(named("no-such")));
        let state = feed.state.read();
        assert!(state.snapshot().namespace_labels("shop").is_none() && state.snapshot().namespace_labels("bank").is_some());
    }

    #[test]
    fn the_whitelist_follows_its_config_map() {
        use crate::sidecarset::whitelist::{MEMBER, Whitelist};
        let feed = feed();
        let map = |text: &str| v1::ConfigMap { data: Some([(MEMBER.to_owned(), text.to_owned())].into()), ..v1::ConfigMap::default() };
        let seen = || feed.state.read().snapshot().whitelist.clone();
        let mut listed = Vec::new();
        feed.take::<Configuration>(&mut listed, Event::InitApply(map(r#"{"rules":[]}"#)));
        feed.take::<Configuration>(&mut listed, Event::InitDone);
        assert!(matches!(seen(), Whitelist::Rules(_)));
        feed.take::<Configuration>(&mut listed, Event::Apply(map("{")));
        assert!(matches!(seen(), Whitelist::Broken(_)));
        feed.take::<Configuration>(&mut listed, Event::Delete(map("{")));
        assert!(matches!(seen(), Whitelist::Absent));
        feed.take::<Configuration>(&mut listed, Event::Apply(map("{")));
        // A new list without it: it was deleted while nobody watched.
        feed.take::<Configuration>(&mut listed, Event::Init);
        feed.take::<Configuration>(&mut listed, Event::InitDone);
        assert!(matches!(seen(), Whitelist::Absent));
    }

    #[test]
    fn an_object_that_does_not_decode_is_counted_and_forgotten() {
        let feed = feed();
        let set = |spec: serde_json::Value| -> DynamicObject {
            serde_json::from_value(serde_json::json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "log"}, "spec": spec})).unwrap()
        };
        let mut listed = Vec::new();
        feed.take::<Sets>(&mut listed, Event::Apply(set(serde_json::json!({"selector": {"matchLabels": {"app": "web"}}}))));
        assert_eq!(feed.state.read().snapshot().sets.len(), 1);
        feed.take::<Sets>(&mut listed, Event::Apply(set(serde_json::json!({"selector": 7}))));
        assert_eq!((feed.state.read().snapshot().sets.len(), feed.metrics.unusable.get()), (0, 1));
    }
}
