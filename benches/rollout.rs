//! What a whole rollout costs the server, on a real control plane with simulated kubelets.
//!
//! `cargo bench --bench rollout`; `-- --help` tells what can be changed. Time is that of the wall; CPU time is what the kernel
//! counts for all threads of the server's process; writes are what the API server counts, of the requests that only the server
//! sends; memory is the resident set of the server. API server, etcd, controllers and kubelets share the machine.

#[path = "../tests/cluster/applying.rs"]
mod applying;
#[path = "../tests/cluster/binaries.rs"]
#[expect(dead_code, reason = "only the tests do without a control plane")]
mod binaries;
#[path = "../tests/cluster/control_plane.rs"]
#[expect(dead_code, reason = "only the tests take parts of the cluster away")]
mod control_plane;
#[path = "../tests/cluster/definitions.rs"]
#[expect(dead_code, reason = "its definitions are changed a little here")]
mod definitions;
#[path = "../tests/cluster/keys.rs"]
#[expect(dead_code, reason = "tests make more certificates")]
mod keys;
#[path = "rollout/measure.rs"]
mod measure;
#[path = "../tests/cluster/nodes.rs"]
mod nodes;
#[path = "../tests/cluster/outrigger.rs"]
#[expect(dead_code, reason = "only the tests speak to it")]
mod outrigger;
#[path = "../tests/cluster/rights.rs"]
#[expect(dead_code, reason = "only the tests look for what was refused")]
mod rights;
#[path = "rollout/scenario.rs"]
mod scenario;
#[path = "../tests/cluster/supervisor.rs"]
#[expect(dead_code, reason = "only tests make a server hang")]
mod supervisor;
#[path = "../tests/cluster/support.rs"]
#[expect(dead_code, reason = "only the tests need all of it")]
mod support;
#[path = "../tests/cluster/watching.rs"]
#[expect(dead_code, reason = "only the tests limit their patience")]
mod watching;
#[path = "../tests/cluster/webhooks.rs"]
mod webhooks;

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;

use crate::support::Cluster;

#[derive(Parser)]
pub(crate) struct Options {
    /// Pods under the set that is rolled out
    #[arg(long, default_value_t = 2000)]
    pods: usize,
    /// How many of them may be unavailable
    #[arg(long, default_value = "20%")]
    max_unavailable: String,
    /// Pods in the cluster when the memory is measured a second time; 0: not at all
    #[arg(long, default_value_t = 0)]
    more_pods: usize,
    /// Sets in the cluster when the time from start to ready is measured; 0: not at all
    #[arg(long, default_value_t = 0)]
    sets: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|role| role == supervisor::ROLE) {
        return supervisor::supervise(args.next().as_deref());
    }
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("a second TLS provider")?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = Arc::new(Cluster::start(&runtime)?);
    runtime.block_on(scenario::run(&cluster, &options))
}
