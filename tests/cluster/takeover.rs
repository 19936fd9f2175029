//! A cluster in which the reference has worked so far: its sets with hashes and status, its revisions, its pods, as it was recorded
//! (`tests/conformance`). A server of ours in its place changes nothing, and goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use outrigger::sidecarset::api::SidecarSet;
use outrigger::sidecarset::default::defaulted;
use serde_json::{Value, json};

use crate::applying;
use crate::changing::{counts, is_observed};
use crate::control_plane::eventually;
use crate::injection::define;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, is_ready};
use crate::watching::Watch;

const NAMESPACE: &str = "kruise-system";
const HASHES: [&str; 2] = ["kruise.io/sidecarset-hash", "kruise.io/sidecarset-hash-without-image"];
/// Sets whose pods run what the sets say: plain, hot, native, two on a pod, an old form of the notes, recorded revisions.
const CASES: [&str; 9] = [
    "inject/ss-inject-basic",
    "inject/ss-inject-hot-basic",
    "inject/ss-inject-hot-two-with-cold",
    "inject/ss-inject-init-native",
    "inject/ss-inject-sets-two-annotations",
    "inject/ss-inject-again-legacy-hash",
    "inject/ss-inject-share-mounts",
    "inject/ss-inject-rev-empty-beside-full",
    "sidecarset/set-revision-recorded",
];

/// What the reference left behind.
#[derive(Default)]
struct Legacy {
    /// By name, as they were recorded.
    sets: BTreeMap<String, Value>,
    revisions: Vec<Value>,
    pods: Vec<Value>,
}

impl Legacy {
    fn read() -> Result<Self> {
        let mut legacy = Self::default();
        for case in CASES {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/conformance/{case}.yaml"));
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let case: Value = serde_saphyr::from_str(&text)?;
            for object in case["state"].as_array().into_iter().flatten() {
                match object["kind"].as_str() {
                    Some("SidecarSet") => {
                        legacy.sets.insert(object["metadata"]["name"].as_str().context("a set without a name")?.to_owned(), object.clone());
                    }
                    Some("ControllerRevision") => legacy.revisions.push(object.clone()),
                    other => anyhow::bail!("a {other:?} is not taken over"),
                }
            }
            let answers = case["requests"].as_array().into_iter().flatten().map(|request| &request["want"]["object"]);
            legacy.pods.extend(answers.filter(|object| object["kind"] == "Pod").cloned());
        }
        Ok(legacy)
    }

    /// Brings it into the cluster.
    async fn restore(&self, cluster: &Arc<Cluster>) -> Result<()> {
        let namespaces: BTreeSet<&str> =
            self.pods.iter().filter_map(|pod| pod["metadata"]["namespace"].as_str()).chain([NAMESPACE]).collect();
        for name in namespaces {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            applying::apply(&cluster.client(), "", namespace).await?;
            let accounts = Api::<ServiceAccount>::namespaced(cluster.client(), name);
            Watch::over(accounts).named("default").until_it("the default account exists", |_| true).await?;
        }
        let mut uids = BTreeMap::new();
        for (name, set) in &self.sets {
            let stored = applying::apply(&cluster.client(), "", made_anew(set)).await?;
            uids.insert(name.as_str(), stored.metadata.uid.context("no uid")?);
            let status = Patch::Merge(json!({"status": set["status"]}));
            sets(cluster).patch_status(name, &PatchParams::default(), &status).await?;
        }
        for revision in &self.revisions {
            let mut revision = made_anew(revision);
            if let Some(owner) = revision.pointer_mut("/metadata/ownerReferences/0") {
                owner["uid"] = json!(uids.get(owner["name"].as_str().unwrap_or_default()));
            }
            applying::apply(&cluster.client(), NAMESPACE, revision).await?;
        }
        for pod in &self.pods {
            let pod: Pod = serde_json::from_value(made_anew(pod))?;
            let namespace = pod.namespace().context("a pod without a namespace")?;
            Api::<Pod>::namespaced(cluster.client(), &namespace).create(&PostParams::default(), &pod).await?;
        }
        Ok(())
    }

    /// How many pods the reference noted to have each set.
    fn matched(&self) -> Result<BTreeMap<String, i32>> {
        let mut matched: BTreeMap<String, i32> = self.sets.keys().map(|name| (name.clone(), 0)).collect();
        for pod in &self.pods {
            let text = pod["metadata"]["annotations"][HASHES[0]].as_str().unwrap_or("{}");
            let notes: BTreeMap<String, Value> = serde_json::from_str(text)?;
            for name in notes.keys() {
                matched.entry(name.clone()).and_modify(|count| *count += 1);
            }
        }
        Ok(matched)
    }
}

/// Without what another cluster gave it.
fn made_anew(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for member in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
            metadata.remove(member);
        }
    }
    object
}

fn sets(cluster: &Cluster) -> Api<SidecarSet> {
    Api::all(cluster.client())
}

/// The pods of the legacy, ready, by namespace and name.
async fn pods(cluster: &Cluster, legacy: &Legacy) -> Result<Vec<Pod>> {
    let namespaces: BTreeSet<&str> = legacy.pods.iter().filter_map(|pod| pod["metadata"]["namespace"].as_str()).collect();
    let mut all = Vec::new();
    for namespace in namespaces {
        let api = Api::<Pod>::namespaced(cluster.client(), namespace);
        let are_ready = |pods: &[&Pod]| !pods.is_empty() && pods.iter().all(|pod| is_ready(pod));
        all.extend(Watch::over(api).until(&format!("the pods of {namespace} are ready"), are_ready).await?);
    }
    ensure!(all.len() == legacy.pods.len(), "{} pods of {}", all.len(), legacy.pods.len());
    Ok(all)
}

/// Everything of the pods that a reconciler or a kubelet could have changed.
fn essence(pods: &[Pod]) -> Result<Vec<Value>> {
    let of = |pod: &Pod| {
        let mut value = serde_json::to_value(pod)?;
        value["metadata"].as_object_mut().context("no metadata")?.remove("managedFields");
        Ok(value)
    };
    pods.iter().map(of).collect()
}

/// The revisions of the legacy's sets, by name.
async fn revisions(cluster: &Cluster, legacy: &Legacy) -> Result<BTreeMap<String, ControllerRevision>> {
    let all = Api::<ControllerRevision>::namespaced(cluster.client(), NAMESPACE).list(&kube::api::ListParams::default()).await?;
    let is_ours =
        |revision: &ControllerRevision| revision.labels().get("kruise.io/sidecarset-name").is_some_and(|set| legacy.sets.contains_key(set));
    Ok(all.items.into_iter().filter(is_ours).map(|revision| (revision.name_any(), revision)).collect())
}

/// A server of ours in the place of the reference, which leads.
async fn successor(cluster: &Arc<Cluster>) -> Result<Outrigger> {
    let server = Outrigger::start(cluster, NAMESPACE, &[]).await?;
    eventually("leader", std::time::Duration::from_secs(20), async || {
        ensure!(server.metric("outrigger_leader").await? > 0.5, "it does not lead");
        Ok(())
    })
    .await?;
    Ok(server)
}

/// Returns when each set was looked at twice since now, and its status counts these pods, all of them as they should be.
async fn settled(cluster: &Cluster, matched: &BTreeMap<String, i32>) -> Result<()> {
    for round in 0..2 {
        for (name, count) in matched {
            // This changes nothing but the generation.
            let limit = json!({"spec": {"revisionHistoryLimit": 11 + round}});
            let changed = sets(cluster).patch(name, &PatchParams::default(), &Patch::Merge(limit)).await?;
            let is_settled =
                |set: &SidecarSet| is_observed(set) && set.metadata.generation >= changed.metadata.generation && counts(set) == [*count; 4];
            cluster
                .watch::<SidecarSet>()
                .named(name)
                .until_it(&format!("{name} has {count} pods, all as they should be"), is_settled)
                .await?;
        }
    }
    Ok(())
}

async fn nothing_has_changed(cluster: &Cluster, legacy: &Legacy, before: &[Pod]) -> Result<()> {
    let after = pods(cluster, legacy).await?;
    ensure!(essence(&after)? == essence(before)?, "a pod has changed");
    let revisions = revisions(cluster, legacy).await?;
    let mut expected = BTreeSet::new();
    for (name, recorded) in &legacy.sets {
        let set = sets(cluster).get(name).await?;
        for hash in HASHES {
            let text = recorded["metadata"]["annotations"][hash].as_str();
            ensure!(set.annotations().get(hash).map(String::as_str) == text, "{name} has another {hash}: {:?}", set.annotations());
        }
        let latest = recorded["status"]["latestRevision"].as_str().context("no latest revision")?;
        let status = set.status.with_context(|| format!("{name} has lost its status"))?;
        ensure!(status.latest_revision.as_deref() == Some(latest), "{name}: {:?} and not {latest}", status.latest_revision);
        expected.insert(latest.to_owned());
    }
    for recorded in &legacy.revisions {
        let name = recorded["metadata"]["name"].as_str().context("a revision without a name")?;
        let revision = revisions.get(name).with_context(|| format!("{name} is gone"))?;
        ensure!(recorded["revision"] == json!(revision.revision), "{name} has number {:?}", revision.revision);
        ensure!(recorded["data"] == serde_json::to_value(&revision.data)?, "{name} has other data");
        expected.insert(name.to_owned());
    }
    let present: BTreeSet<String> = revisions.into_keys().collect();
    ensure!(present == expected, "there are {present:?} and not {expected:?}");
    Ok(())
}

/// Another image for the first sidecar of a set, and the hashes that go with it, as the webhook of sets writes them.
async fn change_image(cluster: &Cluster, name: &str) -> Result<()> {
    let api = sets(cluster);
    let mut set = serde_json::to_value(api.get(name).await?)?;
    set["spec"]["containers"][0]["image"] = json!("example/taken-over:2");
    let set: SidecarSet = serde_json::from_value(defaulted(&set)?)?;
    api.replace(name, &PostParams::default(), &set).await?;
    let is_done = |set: &SidecarSet| is_observed(set) && counts(set) == [1; 4];
    cluster.watch::<SidecarSet>().named(name).until_it(&format!("{name} is rolled out"), is_done).await.map(drop)
}

pub(crate) async fn what_the_reference_left_behind_is_taken_over_without_a_change(cluster: Arc<Cluster>) -> Result<()> {
    define(&cluster).await?;
    let legacy = Legacy::read()?;
    legacy.restore(&cluster).await?;
    let before = pods(&cluster, &legacy).await?;
    let matched = legacy.matched()?;
    let server = successor(&cluster).await?;
    settled(&cluster, &matched).await?;
    nothing_has_changed(&cluster, &legacy, &before).await?;
    // Nor by the next one.
    let numbered = revisions(&cluster, &legacy).await?;
    drop(server);
    let server = successor(&cluster).await?;
    settled(&cluster, &matched).await?;
    nothing_has_changed(&cluster, &legacy, &before).await?;
    ensure!(revisions(&cluster, &legacy).await? == numbered, "a revision was written again");
    // It goes on from there.
    for name in ["ss-inject-basic", "ss-inject-hot-basic", "ss-inject-share-mounts"] {
        change_image(&cluster, name).await?;
        let api = Api::<DynamicObject>::all_with(cluster.client(), &kube::api::ApiResource::erase::<Pod>(&()));
        let pods = api.list(&kube::api::ListParams::default().labels(&format!("case={name}"))).await?;
        let containers: Vec<_> =
            pods.iter().flat_map(|pod| pod.data["spec"]["containers"].as_array().cloned().unwrap_or_default()).collect();
        let new = containers.iter().filter(|container| container["image"] == "example/taken-over:2").count();
        ensure!(new == 1, "{containers:?}");
    }
    drop(server);
    // They select pods of every namespace, and would be in the way of other tests' sets.
    for name in legacy.sets.keys() {
        sets(&cluster).delete(name, &DeleteParams::default()).await?;
    }
    Ok(())
}
