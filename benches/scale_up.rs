//! What a spread costs a Deployment that grows, on a real control plane with simulated kubelets.
//!
//! `cargo bench --bench scale_up`; `-- --help` tells what can be changed. Rounds with and without our hook take turns. Time is that of the
//! wall, from the change of `replicas` until all pods exist, and until all have nodes; writes are the versions of the spread that a watch
//! shows until it is at rest, those of claims and of the reconciler alike. API server, etcd, controllers and kubelets share the machine.

#[path = "../tests/cluster/applying.rs"]
mod applying;
#[path = "../tests/cluster/binaries.rs"]
#[expect(dead_code, reason = "only the tests do without a control plane")]
mod binaries;
#[path = "../tests/cluster/control_plane.rs"]
#[expect(dead_code, reason = "only the tests take parts of the cluster away")]
mod control_plane;
#[path = "../tests/cluster/definitions.rs"]
mod definitions;
#[path = "../tests/cluster/keys.rs"]
#[expect(dead_code, reason = "tests make more certificates")]
mod keys;
#[path = "../tests/cluster/nodes.rs"]
mod nodes;
#[path = "../tests/cluster/outrigger.rs"]
#[expect(dead_code, reason = "only the tests kill it")]
mod outrigger;
#[path = "../tests/cluster/placing.rs"]
#[expect(dead_code, clippy::indexing_slicing, reason = "only the tests need all of it")]
mod placing;
#[path = "../tests/cluster/rights.rs"]
#[expect(dead_code, reason = "only the tests look for what was refused")]
mod rights;
#[path = "scale_up/scenario.rs"]
mod scenario;
#[path = "../tests/cluster/supervisor.rs"]
#[expect(dead_code, reason = "only tests make a server hang")]
mod supervisor;
#[path = "../tests/cluster/support.rs"]
#[expect(dead_code, reason = "only the tests need all of it")]
mod support;
#[path = "../tests/cluster/watching.rs"]
mod watching;
#[path = "../tests/cluster/webhooks.rs"]
mod webhooks;

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;

use crate::support::Cluster;

#[derive(Parser)]
pub(crate) struct Options {
    /// Pods that the Deployment grows to; repeatable
    #[arg(long, default_values_t = [200, 2000])]
    pods: Vec<usize>,
    /// Rounds with the hook, and as many without
    #[arg(long, default_value_t = 3)]
    rounds: usize,
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
