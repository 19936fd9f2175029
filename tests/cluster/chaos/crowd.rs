//! Reviews sent to our service at a fixed rate, as an API server sends them: over HTTP/2, through the service, whatever is behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::estate::Estate;
use crate::installing;

const SERVICE: &str = "outrigger-webhook";

/// Goes on until it is told to end.
pub(crate) struct Crowd {
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    slowest: Arc<Mutex<Duration>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Crowd {
    /// So many reviews of new pods a second; `authority` is that of our servers' certificates.
    pub(crate) async fn begin(estate: &Estate, authority: &str, a_second: u32) -> Result<Self> {
        let port = estate.network.entrance(installing::NAMESPACE, SERVICE, 443).await?;
        let host = format!("{SERVICE}.{}.svc", installing::NAMESPACE);
        let authority = reqwest::Certificate::from_pem(authority.as_bytes())?;
        // Over HTTP/1.1, as API servers ask.
        let http = reqwest::Client::builder()
            .http1_only()
            .add_root_certificate(authority)
            .no_proxy()
            .resolve(&host, ([127, 0, 0, 1], port).into());
        let http = http.timeout(Duration::from_secs(5)).build()?;
        let url = format!("https://{host}:{port}/mutate-pod");
        // The first one opens a connection.
        ask(&http, &url, u64::MAX).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let crowd = Self { answered: Arc::default(), failures: Arc::default(), slowest: Arc::default(), stop, tasks };
        let (answered, failures, slowest) = (Arc::clone(&crowd.answered), Arc::clone(&crowd.failures), Arc::clone(&crowd.slowest));
        let (stop, tasks) = (crowd.stop.clone(), crowd.tasks.clone());
        crowd.tasks.spawn(async move {
            let mut beat = interval(Duration::from_secs(1) / a_second);
            // Behind time, it sends what it has missed.
            beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for number in 0_u64.. {
                if stop.run_until_cancelled(beat.tick()).await.is_none() {
                    return;
                }
                let (http, url, slowest) = (http.clone(), url.clone(), Arc::clone(&slowest));
                let (answered, failures) = (Arc::clone(&answered), Arc::clone(&failures));
                tasks.spawn(async move {
                    let began = Instant::now();
                    match ask(&http, &url, number).await {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failures.lock().push(format!("{error:#}")),
                    }
                    let mut slowest = slowest.lock();
                    *slowest = slowest.max(began.elapsed());
                });
            }
        });
        Ok(crowd)
    }

    /// Returns when all that was sent is over: how many were answered, what became of the others, and how long the slowest took.
    pub(crate) async fn end(self) -> (usize, Vec<String>, Duration) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let failures = std::mem::take(&mut *self.failures.lock());
        let slowest = *self.slowest.lock();
        (self.answered.load(Ordering::Relaxed), failures, slowest)
    }
}

async fn ask(http: &reqwest::Client, url: &str, number: u64) -> Result<()> {
    let uid = format!("review-{number}");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "crowd-", "labels": {"mesh": "on"}},
        "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}});
    let request = json!({"uid": uid, "operation": "CREATE", "namespace": "crowd", "object": pod, "dryRun": true,
        "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    let answer: Value = http.post(url).json(&review).send().await?.error_for_status()?.json().await?;
    let response = answer.get("response").context("no response")?;
    ensure!(response.get("uid").is_some_and(|found| *found == uid) && response.get("allowed") == Some(&Value::Bool(true)), "{answer}");
    ensure!(response.get("patch").is_some(), "without its sidecar: {answer}");
    Ok(())
}
