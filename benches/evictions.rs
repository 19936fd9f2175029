//! What a crowd of evictions of guarded pods costs one server process and three, on a real control plane with simulated kubelets.
//!
//! `cargo bench --bench evictions`; `-- --help` tells what can be changed. Reviews go straight to the servers, over 64 connections; half
//! of them are allowed by the budget. Time is that of the wall, from the first review to the last answer; writes are what the servers
//! count, those included that met a conflict. API server, etcd, controllers and kubelets share the machine.

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
#[path = "../tests/cluster/guarding.rs"]
#[expect(dead_code, reason = "only the tests evict")]
mod guarding;
#[path = "../tests/cluster/keys.rs"]
#[expect(dead_code, reason = "tests make more certificates")]
mod keys;
#[path = "../tests/cluster/nodes.rs"]
mod nodes;
#[path = "../tests/cluster/outrigger.rs"]
#[expect(dead_code, reason = "only the tests kill it")]
mod outrigger;
#[path = "../tests/cluster/reviews.rs"]
mod reviews;
#[path = "../tests/cluster/rights.rs"]
#[expect(dead_code, reason = "only the tests look for what was refused")]
mod rights;
#[path = "evictions/scenario.rs"]
mod scenario;
#[path = "../tests/cluster/supervisor.rs"]
#[expect(dead_code, reason = "only tests make a server hang")]
mod supervisor;
#[path = "../tests/cluster/support.rs"]
#[expect(dead_code, reason = "only the tests need all of it")]
mod support;
#[path = "../tests/cluster/watching.rs"]
#[expect(dead_code, reason = "only the tests change what they watch")]
mod watching;
#[path = "../tests/cluster/webhooks.rs"]
#[expect(dead_code, reason = "no webhook is called here")]
mod webhooks;

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;

use crate::support::Cluster;

#[derive(Parser)]
pub(crate) struct Options {
    /// Pods under the budget, each of which is asked for once in a round; the budget allows half of them
    #[arg(long, default_value_t = 300)]
    pods: usize,
    /// Rounds for each number of servers
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
