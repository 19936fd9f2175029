//! A crowd of reviews of evictions, sent straight to our servers: what it costs.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::outrigger::Outrigger;
use crate::support::Sandbox;

/// How many connections there are.
pub(crate) const CONNECTIONS: usize = 64;

/// What a crowd of reviews took.
pub(crate) struct Load {
    /// From the first to the last answer.
    pub(crate) took: Duration,
    /// Of each review, shortest first.
    latencies: Vec<Duration>,
    /// How many were allowed.
    pub(crate) allowed: usize,
    /// Attempts to write the status of a budget, of all servers.
    pub(crate) writes: u64,
}

impl Load {
    /// The latency that so many of a hundred reviews did not exceed.
    pub(crate) fn percentile(&self, of_a_hundred: usize) -> Duration {
        let at = (self.latencies.len() * of_a_hundred / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (took, median, slow) = (milliseconds(self.took), milliseconds(self.percentile(50)), milliseconds(self.percentile(99)));
        let (count, allowed, writes) = (self.latencies.len(), self.allowed, self.writes);
        write!(f, "{count} reviews in {took:.0} ms, median {median:.0} ms, p99 {slow:.0} ms; {allowed} allowed, {writes} writes")
    }
}

/// A connection to one of the servers.
struct Connection {
    http: reqwest::Client,
    url: String,
}

impl Connection {
    /// Connected: what is asked first costs nobody anything.
    async fn open(server: &Outrigger) -> Result<Self> {
        let authority = reqwest::Certificate::from_pem(server.endpoint().authority_pem.as_bytes())?;
        let http = reqwest::Client::builder().add_root_certificate(authority).no_proxy().http1_only().build()?;
        let connection = Self { http, url: server.url("/validate-pod") };
        ensure!(connection.ask(&json!({"uid": "hello", "resource": {"resource": "none"}})).await?, "the first review is refused");
        Ok(connection)
    }

    async fn ask(&self, request: &Value) -> Result<bool> {
        let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
        let answer: Value = self.http.post(&self.url).json(&review).send().await?.json().await?;
        answer.pointer("/response/allowed").and_then(Value::as_bool).with_context(|| answer.to_string())
    }
}

/// The review of an eviction.
fn eviction(sandbox: &Sandbox, pod: &str) -> Value {
    let object = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": sandbox.namespace}});
    json!({"uid": pod, "operation": "CREATE", "namespace": sandbox.namespace, "name": pod, "subResource": "eviction", "object": object,
        "resource": {"group": "", "version": "v1", "resource": "pods"}})
}

/// Sends the review of an eviction of each pod to these servers, over 64 connections.
pub(crate) async fn load(sandbox: &Sandbox, pods: &[String], servers: &[&Outrigger]) -> Result<Load> {
    let connections = try_join_all(servers.iter().cycle().take(CONNECTIONS).map(|server| Connection::open(server))).await?;
    let (left, answers) = (Mutex::new(pods.iter()), Mutex::new(Vec::new()));
    let before = writes(servers).await?;
    let began = Instant::now();
    try_join_all(connections.iter().map(async |connection| {
        loop {
            let Some(pod) = left.lock().next() else { return anyhow::Ok(()) };
            let since = Instant::now();
            let is_allowed = connection.ask(&eviction(sandbox, pod)).await?;
            answers.lock().push((since.elapsed(), is_allowed));
        }
    }))
    .await?;
    let took = began.elapsed();
    let writes = writes(servers).await? - before;
    let answers = answers.into_inner();
    let mut latencies: Vec<_> = answers.iter().map(|(latency, _)| *latency).collect();
    latencies.sort_unstable();
    Ok(Load { took, latencies, allowed: answers.iter().filter(|(_, is_allowed)| *is_allowed).count(), writes })
}

async fn writes(servers: &[&Outrigger]) -> Result<u64> {
    let counts = try_join_all(servers.iter().map(|server| server.metric("outrigger_claim_writes_total"))).await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter is a small whole number")]
    let sum = counts.into_iter().sum::<f64>() as u64;
    Ok(sum)
}
