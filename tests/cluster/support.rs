//! What a test works with: the cluster that all share, and a sandbox of its own in it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Namespace, Node, Pod, PodSpec, PodTemplateSpec, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::binaries::Binaries;
use crate::control_plane::ControlPlane;
use crate::supervisor::Supervisor;
use crate::watching::Watch;
use crate::{applying, binaries, keys, nodes};

/// Carried by everything that a test makes, with the name of its sandbox: webhooks of one test see objects of that test only.
pub(crate) const SANDBOX_LABEL: &str = "outrigger.test/sandbox";

/// What any object of the API can do that these helpers want.
pub(crate) trait Object: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + 'static {}
impl<K> Object for K where K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + 'static {}

pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    /// Read by tests that run beside others, written by those that disturb others.
    pub(crate) turn: RwLock<()>,
}

impl Cluster {
    /// Finds or builds the programs, starts them, and returns when there are ready nodes.
    pub(crate) fn start(runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let (supervisor, folder) = Self::site()?;
        let programs = Arc::new(binaries::find_or_build(&supervisor, &folder)?);
        runtime.block_on(Self::build(supervisor, folder, programs, false))
    }

    /// A further one, of the same programs, with a network.
    pub(crate) async fn another(&self) -> Result<Self> {
        let (supervisor, folder) = Self::site()?;
        Self::build(supervisor, folder, Arc::clone(&self.plane.binaries), true).await
    }

    /// A folder, and who removes it at the end.
    fn site() -> Result<(Arc<Supervisor>, PathBuf)> {
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep();
        let kept = std::env::var_os("OUTRIGGER_KEEP_CLUSTER_FOLDER").is_some();
        Ok((Supervisor::start((!kept).then_some(&folder))?, folder))
    }

    async fn build(supervisor: Arc<Supervisor>, folder: PathBuf, programs: Arc<Binaries>, has_network: bool) -> Result<Self> {
        let begin = Instant::now();
        let plane = ControlPlane::start(supervisor, folder, programs, has_network).await?;
        let cluster = Self { plane, turn: RwLock::new(()) };
        cluster.furnish().await.context("making the nodes")?;
        cluster.plane.still_runs().await?;
        binaries::say(&format!("four nodes are ready after {:.1} s", begin.elapsed().as_secs_f32()))?;
        Ok(cluster)
    }

    async fn furnish(&self) -> Result<()> {
        for object in nodes::objects() {
            applying::apply(&self.client(), "default", object).await?;
        }
        let all_ready = |nodes: &[&Node]| nodes.len() == nodes::ZONES.len() + 1 && nodes.iter().all(|node| is_ready_node(node));
        self.watch::<Node>().until("all nodes are ready", all_ready).await.map(drop)
    }

    pub(crate) fn client(&self) -> Client {
        self.plane.client()
    }

    /// A watch of one kind that has no namespaces.
    pub(crate) fn watch<K: Object + Resource<Scope = ClusterResourceScope>>(&self) -> Watch<K> {
        Watch::over(Api::all(self.client()))
    }

    /// A new namespace, ready to take pods, with `purpose` in its name.
    pub(crate) async fn sandbox(self: &Arc<Self>, purpose: &str) -> Result<Sandbox> {
        let name = format!("{purpose}-{}", keys::suffix()?);
        self.namespace(&name, &name, BTreeMap::new()).await
    }

    async fn namespace(self: &Arc<Self>, name: &str, label: &str, mut labels: BTreeMap<String, String>) -> Result<Sandbox> {
        labels.insert(SANDBOX_LABEL.to_owned(), label.to_owned());
        let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..Default::default() };
        let namespace = Namespace { metadata, ..Default::default() };
        Api::<Namespace>::all(self.client()).create(&PostParams::default(), &namespace).await?;
        let sandbox = Sandbox { cluster: Arc::clone(self), namespace: name.to_owned(), label: label.to_owned() };
        // Before its service account exists, pods are refused.
        sandbox.watch::<ServiceAccount>().named("default").until_it("the default account exists", |_| true).await?;
        Ok(sandbox)
    }
}

/// A namespace that belongs to one test. It is never deleted: it goes with the cluster.
pub(crate) struct Sandbox {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) namespace: String,
    /// The value of `SANDBOX_LABEL`.
    pub(crate) label: String,
}

impl Sandbox {
    /// A further namespace for the same test, with labels of its own; the test's webhooks are called for it too.
    pub(crate) async fn neighbour(&self, purpose: &str, labels: &[(&str, &str)]) -> Result<Self> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.cluster.namespace(&format!("{}-{purpose}", self.label), &self.label, labels).await
    }

    pub(crate) fn api<K: Object + Resource<Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    pub(crate) fn watch<K: Object + Resource<Scope = NamespaceResourceScope>>(&self) -> Watch<K> {
        Watch::over(self.api())
    }

    pub(crate) async fn create<K: Object + Resource<Scope = NamespaceResourceScope>>(&self, object: &K) -> Result<K> {
        self.post(object, &PostParams::default()).await
    }

    /// What the object would become, webhooks included; nothing is stored.
    pub(crate) async fn create_dry_run<K: Object + Resource<Scope = NamespaceResourceScope>>(&self, object: &K) -> Result<K> {
        self.post(object, &PostParams { dry_run: true, ..Default::default() }).await
    }

    async fn post<K: Object + Resource<Scope = NamespaceResourceScope>>(&self, object: &K, params: &PostParams) -> Result<K> {
        let mut object = object.clone();
        object.meta_mut().labels.get_or_insert_default().insert(SANDBOX_LABEL.to_owned(), self.label.clone());
        Ok(self.api().create(params, &object).await?)
    }

    /// Server-side apply of all documents, of any kind, in their order; each gets the sandbox's label.
    pub(crate) async fn apply_yaml(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for mut document in applying::documents(yaml)? {
            add_label(&mut document, &self.label)?;
            applied.push(applying::apply(&self.cluster.client(), &self.namespace, document).await?);
        }
        Ok(applied)
    }

    pub(crate) async fn pods(&self, selector: &str, what: &str, done: impl Fn(&[&Pod]) -> bool) -> Result<Vec<Pod>> {
        self.watch::<Pod>().labels(selector).until(what, done).await
    }

    /// Returns the pods when there are exactly `count` and all are ready.
    pub(crate) async fn ready_pods(&self, selector: &str, count: usize) -> Result<Vec<Pod>> {
        let done = |pods: &[&Pod]| pods.len() == count && pods.iter().all(|pod| is_ready(pod));
        self.pods(selector, &format!("{count} pods are ready"), done).await
    }
}

fn add_label(document: &mut Value, label: &str) -> Result<()> {
    let object = document.as_object_mut().context("a document is not an object")?;
    let metadata = object.entry("metadata").or_insert_with(|| json!({})).as_object_mut().context("metadata is not an object")?;
    let labels = metadata.entry("labels").or_insert_with(|| json!({})).as_object_mut().context("labels are not an object")?;
    labels.insert(SANDBOX_LABEL.to_owned(), label.into());
    Ok(())
}

/// A Deployment in the making: `deployment("web").replicas(20).label("tier", "front").build()`. Its pods carry `app=NAME`.
pub(crate) struct DeploymentBuilder(Deployment);

pub(crate) fn deployment(name: &str) -> DeploymentBuilder {
    let labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    let container = Container { name: "main".to_owned(), image: Some("registry.example/main:1".to_owned()), ..Default::default() };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels.clone()), ..Default::default() }),
        spec: Some(PodSpec { containers: vec![container], ..Default::default() }),
    };
    let mut deployment = Deployment::default();
    deployment.metadata.name = Some(name.to_owned());
    let spec = &mut deployment.spec;
    spec.selector = LabelSelector { match_labels: Some(labels), ..Default::default() };
    spec.template = template;
    DeploymentBuilder(deployment)
}

impl DeploymentBuilder {
    pub(crate) fn replicas(mut self, replicas: i32) -> Self {
        self.0.spec.replicas = Some(replicas);
        self
    }

    /// A label of the pods.
    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        let metadata = self.0.spec.template.metadata.get_or_insert_default();
        metadata.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// An annotation of the pods.
    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        let metadata = self.0.spec.template.metadata.get_or_insert_default();
        metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Any other change of the pods' specification.
    pub(crate) fn pod(mut self, change: impl FnOnce(&mut PodSpec)) -> Self {
        change(self.0.spec.template.spec.get_or_insert_default());
        self
    }

    pub(crate) fn build(self) -> Deployment {
        self.0
    }
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_ready_node(node: &Node) -> bool {
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
