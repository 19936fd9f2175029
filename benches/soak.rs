//! Ten minutes of a busy cluster: a thousand reviews a second of all kinds, sent at a fixed rate, while real pods come and go.
//!
//! `cargo bench --bench soak`; `-- --help` tells what can be changed. The server follows a real control plane with simulated kubelets: what
//! reviews claim is written to its objects, what they ask is asked there, and a Deployment that grows and shrinks all the time feeds the
//! watches through our own webhooks. Reviews are sent over TLS and HTTP/2 when their time has come, whether or not earlier ones are
//! answered, and a latency counts from that time: a server that stops for a second is seen to be late with a thousand answers. Memory is
//! the resident set, looked at every ten seconds; growth is the slope of the straight line that fits best behind the first fifth of the
//! run. API server, etcd, controllers, kubelets and this client share the machine.

#[path = "../tests/cluster/applying.rs"]
mod applying;
#[path = "../tests/cluster/binaries.rs"]
#[expect(dead_code, reason = "only the tests do without a control plane")]
mod binaries;
#[path = "soak/client.rs"]
mod client;
#[path = "../tests/cluster/control_plane.rs"]
#[expect(dead_code, reason = "only the tests take parts of the cluster away")]
mod control_plane;
#[path = "../tests/cluster/definitions.rs"]
mod definitions;
#[expect(dead_code, reason = "sets and reviews of other benches")]
mod fixtures;
#[path = "../tests/cluster/guarding.rs"]
#[expect(dead_code, reason = "only the tests evict")]
mod guarding;
#[path = "../tests/cluster/keys.rs"]
#[expect(dead_code, reason = "tests make more certificates")]
mod keys;
#[path = "rollout/measure.rs"]
#[expect(dead_code, reason = "the API server's requests are counted elsewhere")]
mod measure;
#[path = "../tests/cluster/nodes.rs"]
mod nodes;
#[path = "../tests/cluster/outrigger.rs"]
#[expect(dead_code, reason = "only the tests kill it")]
mod outrigger;
#[path = "soak/report.rs"]
mod report;
#[path = "soak/reviews.rs"]
mod reviews;
#[path = "../tests/cluster/rights.rs"]
#[expect(dead_code, reason = "only the tests look for what was refused")]
mod rights;
#[path = "soak/scenario.rs"]
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
mod webhooks;

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;

use crate::support::Cluster;

#[derive(Parser)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Reviews a second
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Connections, as an API server has them
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Further connections on which nothing is ever asked; the server closes them after five minutes
    #[arg(long, default_value_t = 0)]
    idle: usize,
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
    ::outrigger::server::open_files::allow_many();
    let runtime = tokio::runtime::Runtime::new()?;
    let cluster = Arc::new(Cluster::start(&runtime)?);
    runtime.block_on(scenario::run(&cluster, &options))
}
