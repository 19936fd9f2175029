//! A folder of manifests as a cluster: read at the start, read again when a file changes. A folder that has become wrong
//! leaves the last good picture in place.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    documents::{Document, DocumentError, files_of, read},
    schema, statuses, workloads,
};
use crate::{
    base::{
        definition::{Conversion, stored_schema},
        gates::Gates,
        interned::Interner,
        observed::Wire,
    },
    budget::{self, api::PodUnavailableBudget},
    sidecarset::{self, api::SidecarSet, revision::Revision, whitelist::CONFIGURATION},
    spread::{self, api::WorkloadSpread},
    state::{State, feed::Namespace, pods::Observed},
    telemetry::metrics::Metrics,
};

/// Where a folder's manifests are, and how they are read.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// The namespace whose ControllerRevisions are those of SidecarSets.
    pub own_namespace: String,
    /// Which features are on.
    pub gates: Gates,
}

/// All objects of a folder, as they stand.
pub type Objects = Arc<RwLock<Vec<Value>>>;

/// What tells that a file of a folder has changed: names, sizes and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl Stamp {
    /// When the youngest file was written.
    fn youngest(&self) -> Timestamp {
        let newest = self.0.iter().filter_map(|(_, _, modified)| *modified).max();
        newest.and_then(|newest| Timestamp::try_from(newest).ok()).unwrap_or_default()
    }
}

impl Folder {
    /// How its files look from outside.
    pub fn stamp(&self) -> Stamp {
        let of = |path: PathBuf| {
            let found = std::fs::metadata(&path).ok();
            (path, found.as_ref().map_or(0, std::fs::Metadata::len), found.and_then(|found| found.modified().ok()))
        };
        Stamp(files_of(&self.path).unwrap_or_default().into_iter().map(of).collect())
    }

    /// Reads everything: the picture, and the objects as they stand, with the statuses that their reconcilers would write. As of
    /// when the youngest file was written; that is when all became as it is.
    pub fn load(&self) -> Result<(State, Vec<Value>), DocumentError> {
        let since = self.stamp().youngest();
        let mut documents = Vec::new();
        for file in files_of(&self.path)? {
            documents.extend(read(&file)?);
        }
        let mut state = self.state_of(&documents)?;
        statuses::complete_budgets(&mut state, since);
        statuses::complete_spreads(&mut state, since);
        let mut objects: Vec<Value> = documents.into_iter().map(|document| document.value).collect();
        for object in &mut objects {
            statuses::fill(object, &state.snapshot(), &self.own_namespace, since);
        }
        Ok((state, objects))
    }

    fn state_of(&self, documents: &[Document]) -> Result<State, DocumentError> {
        let mut state = State::new(self.gates.clone());
        let mut interner = Interner::default();
        // Of pods that nobody has placed, those are looked at whose namespace has spreads.
        let (spreads, others): (Vec<_>, Vec<_>) =
            documents.iter().partition(|document| document.value.get("kind").is_some_and(|kind| kind == "WorkloadSpread"));
        for document in spreads.into_iter().chain(others) {
            let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            match (text("/apiVersion"), text("/kind")) {
                ("v1", "Namespace") => state.apply_namespace(namespace(document)?),
                ("v1", "Pod") => state.observe_pod(pod(document, &mut interner)?),
                ("apps/v1", "ControllerRevision") if text("/metadata/namespace") == self.own_namespace => {
                    let revision = Revision::from_object(&document.value).map_err(|error| document.error("data", error.to_string()))?;
                    state.apply_revision(revision);
                }
                ("v1", "ConfigMap") if text("/metadata/namespace") == self.own_namespace && text("/metadata/name") == CONFIGURATION => {
                    state.apply_configuration(&configuration(document)?);
                }
                ("apps.kruise.io/v1beta1" | "apps.kruise.io/v1alpha1", "SidecarSet") => {
                    let set: SidecarSet = of_kind(document, &SETS)?;
                    state.apply_set(set).map_err(|error| document.error(error.field, error.source.to_string()))?;
                }
                ("policy.kruise.io/v1beta1" | "policy.kruise.io/v1alpha1", "PodUnavailableBudget") => state.apply_budget(budget(document)?),
                ("apps.kruise.io/v1beta1" | "apps.kruise.io/v1alpha1", "WorkloadSpread") => state.apply_spread(spread(document)?),
                ("batch/v1", "Job") => state.apply_job(workloads::job(document, &mut interner)?),
                (api_version, kind) => {
                    if let Some(workload) = workloads::read(document, [api_version, kind], &mut interner)? {
                        state.apply_workload(workload);
                    }
                }
            }
        }
        Ok(state)
    }
}

/// Follows a folder.
pub struct Follow {
    /// Which one.
    pub folder: Folder,
    /// How it looked before it was loaded, so that what has changed since is not missed.
    pub seen: Stamp,
    /// How long between two looks.
    pub every: Duration,
    /// The picture to replace.
    pub state: Arc<RwLock<State>>,
    /// The objects to replace.
    pub objects: Objects,
    /// Where trouble is counted.
    pub metrics: Arc<Metrics>,
}

impl Follow {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while tokio::time::timeout(self.every, stop.cancelled()).await.is_err() {
            let now = self.folder.stamp();
            if now == self.seen {
                continue;
            }
            self.seen = now;
            match self.folder.load() {
                Ok((new, all)) => {
                    *self.state.write() = new;
                    *self.objects.write() = all;
                    tracing::info!(folder = %self.folder.path.display(), "the manifests were read again");
                }
                Err(error) => {
                    self.metrics.manifest_errors.inc();
                    tracing::error!(%error, "the changed manifests cannot be used; the last good ones stay");
                }
            }
        }
    }
}

/// What tells one of our kinds from the others: its versions, and what they ask of it.
struct Kind {
    /// `apiVersion` of the version that is not stored.
    older: &'static str,
    /// Turns an object of that version into one of the stored version.
    convert: fn(&mut Value) -> Result<(), String>,
    /// The schema of the stored version, as the API server has it.
    schema: LazyLock<Value>,
}

static SETS: Kind = Kind {
    older: sidecarset::v1alpha1::V1ALPHA1,
    convert: |object| sidecarset::v1alpha1::to_v1beta1(object).map_err(|error| error.to_string()),
    schema: LazyLock::new(|| stored_schema(sidecarset::schema::definition(&Conversion::Off))),
};

static BUDGETS: Kind = Kind {
    older: budget::v1alpha1::V1ALPHA1,
    convert: |object| budget::v1alpha1::to_v1beta1(object).map_err(|error| error.to_string()),
    schema: LazyLock::new(|| stored_schema(budget::schema::definition(&Conversion::Off))),
};

static SPREADS: Kind = Kind {
    older: spread::v1alpha1::V1ALPHA1,
    convert: |object| spread::v1alpha1::to_v1beta1(object).map_err(|error| error.to_string()),
    schema: LazyLock::new(|| stored_schema(spread::schema::definition(&Conversion::Off))),
};

fn namespace(document: &Document) -> Result<Namespace, DocumentError> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: String,
        #[serde(default)]
        labels: Option<BTreeMap<String, String>>,
        #[serde(default)]
        deletion_timestamp: Option<String>,
    }
    let object: Object = decode(document)?;
    let mut labels = object.metadata.labels.unwrap_or_default();
    // The API server gives every namespace this label.
    labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| object.metadata.name.clone());
    Ok(Namespace { name: object.metadata.name, labels, is_terminating: object.metadata.deletion_timestamp.is_some() })
}

fn pod(document: &Document, interner: &mut Interner) -> Result<Observed, DocumentError> {
    let mut pod: Wire = decode(document)?;
    // Where kubectl would put it.
    pod.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(Observed::read(&pod, interner))
}

/// The texts of our own `ConfigMap`.
fn configuration(document: &Document) -> Result<BTreeMap<String, String>, DocumentError> {
    #[derive(Deserialize)]
    struct Object {
        #[serde(default)]
        data: Option<BTreeMap<String, String>>,
    }
    Ok(decode::<Object>(document)?.data.unwrap_or_default())
}

fn budget(document: &Document) -> Result<PodUnavailableBudget, DocumentError> {
    let mut budget: PodUnavailableBudget = of_kind(document, &BUDGETS)?;
    budget.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(budget)
}

fn spread(document: &Document) -> Result<WorkloadSpread, DocumentError> {
    let mut spread: WorkloadSpread = of_kind(document, &SPREADS)?;
    spread.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(spread)
}

/// An object of one of our kinds, as the API server would store it.
fn of_kind<T: serde::de::DeserializeOwned>(document: &Document, kind: &Kind) -> Result<T, DocumentError> {
    let mut stored = document.clone();
    if document.value.get("apiVersion").and_then(Value::as_str) == Some(kind.older) {
        (kind.convert)(&mut stored.value).map_err(|problem| document.error(".", problem))?;
    }
    for member in ["spec", "status"] {
        let of = kind.schema.pointer(&format!("/properties/{member}")).unwrap_or(&Value::Null);
        schema::check(stored.value.get(member).unwrap_or(&Value::Null), of, member)
            .map_err(|(path, problem)| document.error(path, problem))?;
    }
    if stored.value.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(document.error("metadata.name", "missing"));
    }
    decode(&stored)
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(document: &Document) -> Result<T, DocumentError> {
    serde_path_to_error::deserialize(&document.value).map_err(|error| document.error(error.path().to_string(), error.inner().to_string()))
}
