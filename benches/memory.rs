//! What a cluster of many pods costs the server that watches it: memory, and the time from its start until it is ready.
//!
//! `cargo bench --bench memory`; `-- --help` tells what can be changed. No control plane runs here: an API server of this bench's own
//! lists as many pods as are wanted, of the size that they have in a cluster (`managedFields` and status included), over loopback, the way
//! the watch asks for them. Each line is a server of its own, with one worker thread for each core as in production. Memory is the
//! resident set, at the most until the server is ready, and 15 s later, when the allocator has given back what was needed for a moment;
//! bytes a pod are those above the server that watches none. The time holds what this process needs to write the pods out.

#[path = "memory/api_server.rs"]
mod api_server;
#[path = "memory/measured.rs"]
mod measured;
#[path = "memory/pods.rs"]
mod pods;

use anyhow::Context;
use clap::Parser;

use crate::{
    measured::Measured,
    pods::{Kind, Pods},
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
pub(crate) struct Options {
    /// Pods in the cluster
    #[arg(long, default_value_t = 100_000)]
    pods: usize,
    /// The API server does not stream lists, as before Kubernetes 1.32: they are asked for page by page
    #[arg(long)]
    paged: bool,
    /// Only lines whose names hold this text, and that without pods
    #[arg(long, default_value = "")]
    only: String,
    /// Seconds from being ready until memory is looked at again
    #[arg(long, default_value_t = 15)]
    rest: u64,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the pods are like, line by line.
const LINES: [(&str, Kind); 4] = [
    ("no set, no spread", Kind { injected: 0, spread: 0 }),
    ("a tenth under a spread", Kind { injected: 0, spread: 10 }),
    ("a third injected", Kind { injected: 33, spread: 0 }),
    ("all injected, all under a spread", Kind { injected: 100, spread: 100 }),
];

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok().context("a second TLS provider")?;
    let runtime = tokio::runtime::Runtime::new()?;
    measured::head(&options, Pods { count: options.pods, kind: LINES[0].1 });
    let none = runtime.block_on(Measured::of(Pods { count: 0, kind: LINES[0].1 }, &options))?;
    none.print("no pods", None);
    for (name, kind) in LINES.into_iter().filter(|(name, _)| name.contains(&options.only)) {
        let measured = runtime.block_on(Measured::of(Pods { count: options.pods, kind }, &options)).context(name)?;
        measured.print(name, Some((&none, options.pods)));
    }
    Ok(())
}
