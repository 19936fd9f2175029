//! What the kernel and the API server count.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;

use crate::outrigger::Outrigger;

/// CPU time of a process, user and kernel, so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field may hold blanks; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("no CPU time in /proc");
    let ticks = ticks(11)? + ticks(12)?;
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(Duration::from_millis(ticks * 10))
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

/// How many requests the API server has answered, of a verb for a resource.
pub(crate) async fn requests(client: &Client, verb: &str, resource: &str, sub_resource: &str) -> Result<u64> {
    let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let has = |line: &str, label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
    let counts = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && has(line, "verb", verb)
            && has(line, ",resource", resource)
            && has(line, "subresource", sub_resource)
    });
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// A number of the server's own, without labels.
pub(crate) async fn own(server: &Outrigger, metric: &str) -> Result<u64> {
    let text = server.http().get(server.admin_url("/metrics")).send().await?.text().await?;
    let value = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no metric {metric}"))?.parse()?)
}
