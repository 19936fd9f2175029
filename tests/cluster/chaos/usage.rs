//! What users of a cluster do all the time, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, EvictParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, discovery};
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::guarding::one_client;
use crate::support::Sandbox;

/// What is not ours to hold up, ever.
pub(crate) const FREE: [&str; 3] = ["create", "delete", "evict"];
/// What must not pass without us.
pub(crate) const GUARDED: [&str; 3] = ["delete-guarded", "evict-guarded", "write-set"];

/// One thing that was done.
struct Done {
    what: &'static str,
    began: Instant,
    took: Duration,
    failed: Option<String>,
}

/// Goes on until dropped.
pub(crate) struct Usage {
    done: Arc<Mutex<Vec<Done>>>,
    stop: CancellationToken,
}

/// What one kind of request met with in some span of time.
#[derive(Debug, Default)]
pub(crate) struct Experience {
    pub(crate) count: usize,
    pub(crate) failed: usize,
    pub(crate) slowest: Duration,
    pub(crate) error: Option<String>,
    /// Pods that came in without their sidecar.
    pub(crate) bare: usize,
}

impl Usage {
    /// In `free`, a namespace without budgets, pods come and go; in `guarded` there is a pod `web-…` for each of these names that a budget
    /// guards; and there is a `SidecarSet` of the name `set`, for pods with the label `mesh: on`.
    pub(crate) async fn begin(free: &Sandbox, guarded: &Sandbox, pods: &[String], set: &str) -> Result<Self> {
        let (done, stop, tasks) = (Arc::default(), CancellationToken::new(), TaskTracker::new());
        let client = one_client(&free.cluster).await?;
        let user = |namespace: &str| User { client: client.clone(), namespace: namespace.to_owned(), done: Arc::clone(&done) };
        let spawn = |life: futures::future::BoxFuture<'static, Result<()>>| {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(life).await });
        };
        spawn(Box::pin(user(&free.namespace).delete_pods("plain")));
        spawn(Box::pin(user(&free.namespace).evict_pods("moved")));
        spawn(Box::pin(user(&free.namespace).inject_pods("meshed")));
        spawn(Box::pin(user(&guarded.namespace).try_deletions(pods.to_vec())));
        spawn(Box::pin(user(&guarded.namespace).try_evictions(pods.to_vec())));
        spawn(Box::pin(user("").write_set(set.to_owned())));
        Ok(Self { done, stop })
    }

    /// By kind of request, of those that began at or after `from` and are over.
    pub(crate) fn since(&self, from: Instant) -> BTreeMap<&'static str, Experience> {
        let mut all: BTreeMap<_, Experience> = BTreeMap::new();
        for done in self.done.lock().iter().filter(|done| done.began >= from) {
            let experience = all.entry(done.what).or_default();
            if done.what == "bare" {
                all.entry("create-meshed").or_default().bare += 1;
                continue;
            }
            experience.count += 1;
            experience.slowest = experience.slowest.max(done.took);
            experience.failed += usize::from(done.failed.is_some());
            experience.error = experience.error.take().or_else(|| done.failed.clone());
        }
        all.remove("bare");
        all
    }

    /// When, after `from`, this kind of request began to succeed for good; none if the last one failed or there was none.
    pub(crate) fn recovered(&self, what: &str, from: Instant) -> Option<Duration> {
        let done = self.done.lock();
        let of_kind: Vec<_> = done.iter().filter(|done| done.what == what && done.began >= from).collect();
        let last_failure = of_kind.iter().rposition(|done| done.failed.is_some());
        let first = of_kind.get(last_failure.map_or(0, |at| at + 1))?;
        Some(first.began.duration_since(from) + first.took)
    }

    /// How many times this was done since `from`.
    pub(crate) fn count(&self, what: &str, from: Instant) -> usize {
        self.done.lock().iter().filter(|done| done.what == what && done.began >= from).count()
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A table of it, a line for each kind of request.
pub(crate) fn told(experiences: &BTreeMap<&'static str, Experience>) -> String {
    experiences.iter().fold(String::new(), |mut text, (what, seen)| {
        let bare = if seen.bare > 0 { format!(", {} without sidecar", seen.bare) } else { String::new() };
        let error = seen.error.as_deref().map(|error| format!("; {error}")).unwrap_or_default();
        let _ =
            write!(text, "\n  {what}: {} of {} failed, slowest {:.1} s{bare}{error}", seen.failed, seen.count, seen.slowest.as_secs_f64());
        text
    })
}

/// In few words.
fn why(error: &anyhow::Error) -> String {
    let text = match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => format!("{} {}", status.code, status.message),
        _ => format!("{error:#}"),
    };
    text.chars().take(240).collect()
}

/// Does one thing after the other.
struct User {
    client: Client,
    namespace: String,
    done: Arc<Mutex<Vec<Done>>>,
}

impl User {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn note<T>(&self, what: &'static str, doing: impl Future<Output = Result<T>>) -> Option<T> {
        let began = Instant::now();
        let result = doing.await;
        let (took, failed) = (began.elapsed(), result.as_ref().err().map(why));
        self.done.lock().push(Done { what, began, took, failed });
        // A pace that leaves room for the others.
        tokio::time::sleep(Duration::from_millis(100)).await;
        result.ok()
    }

    async fn create(&self, what: &'static str, name: &str, labels: serde_json::Value) -> Option<Pod> {
        let object = json!({"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}});
        self.note(what, async { Ok(self.pods().create(&PostParams::default(), &serde_json::from_value(object)?).await?) }).await
    }

    async fn delete_pods(self, name: &str) -> Result<()> {
        for number in 0.. {
            let name = format!("{name}-{number}");
            if self.create("create", &name, json!({})).await.is_some() {
                let now = DeleteParams::default().grace_period(0);
                self.note("delete", async { Ok(self.pods().delete(&name, &now).await.map(drop)?) }).await;
            }
        }
        Ok(())
    }

    async fn evict_pods(self, name: &str) -> Result<()> {
        for number in 0.. {
            let name = format!("{name}-{number}");
            if self.create("create", &name, json!({})).await.is_some() {
                self.note("evict", async { Ok(self.pods().evict(&name, &EvictParams::default()).await.map(drop)?) }).await;
            }
        }
        Ok(())
    }

    async fn inject_pods(self, name: &str) -> Result<()> {
        for number in 0.. {
            let name = format!("{name}-{number}");
            let Some(pod) = self.create("create-meshed", &name, json!({"mesh": "on"})).await else { continue };
            if pod.spec.context("a pod without a specification")?.containers.len() == 1 {
                self.done.lock().push(Done { what: "bare", began: Instant::now(), took: Duration::ZERO, failed: None });
            }
            self.note("delete", async { Ok(self.pods().delete(&name, &DeleteParams::default().grace_period(0)).await.map(drop)?) }).await;
        }
        Ok(())
    }

    /// As dry runs: the hooks are asked all the same, and no unit is taken.
    async fn try_deletions(self, pods: Vec<String>) -> Result<()> {
        for pod in pods.iter().cycle() {
            self.note("delete-guarded", async { Ok(self.pods().delete(pod, &DeleteParams::default().dry_run()).await.map(drop)?) }).await;
        }
        Ok(())
    }

    async fn try_evictions(self, pods: Vec<String>) -> Result<()> {
        let params = EvictParams { post_options: PostParams { dry_run: true, ..PostParams::default() }, ..EvictParams::default() };
        for pod in pods.iter().cycle() {
            self.note("evict-guarded", async { Ok(self.pods().evict(pod, &params).await.map(drop)?) }).await;
        }
        Ok(())
    }

    async fn write_set(self, set: String) -> Result<()> {
        let kind = GroupVersionKind::gvk("apps.kruise.io", "v1beta1", "SidecarSet");
        let (kind, _) = discovery::pinned_kind(&self.client, &kind).await?;
        let sets: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        for number in 0.. {
            let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/written": number.to_string()}}}));
            self.note("write-set", async { Ok(sets.patch(&set, &PatchParams::default(), &patch).await.map(drop)?) }).await;
        }
        Ok(())
    }
}

/// An error if any request of these kinds failed.
pub(crate) fn ensure_none_failed(seen: &BTreeMap<&'static str, Experience>, kinds: &[&str]) -> Result<()> {
    for kind in kinds {
        let experience = seen.get(kind).with_context(|| format!("nothing was done: {kind}"))?;
        ensure!(experience.failed == 0 && experience.count > 0, "{kind}: {experience:?}");
    }
    Ok(())
}
