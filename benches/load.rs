//! What a review costs the server process over real TLS and HTTP/2, against a bare echo server in the same run.
//!
//! `cargo bench --bench load`; `-- --help` tells what can be changed. Every server is a process of its own with one worker
//! thread, so that CPU time per review is that of one core; CPU time is what the kernel counts for all threads of the
//! process, in user and kernel mode. Both servers have the same allocator, certificate, TLS settings and windows. The
//! scenarios take turns in rounds, and medians over the rounds are shown, so that other load on the machine hits all alike.

#[path = "load/client.rs"]
mod client;
#[path = "load/echo.rs"]
mod echo;
#[path = "load/report.rs"]
mod report;
#[path = "load/scenario.rs"]
mod scenario;
#[path = "load/server.rs"]
mod server;

mod fixtures;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use rustls::crypto::aws_lc_rs;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Role {
    /// Run the echo server; the bench starts itself in this way
    #[command(hide = true)]
    Echo { listen: SocketAddr, certs: PathBuf },
}

#[derive(Args)]
struct Options {
    /// Requests of each scenario in each round
    #[arg(long, default_value_t = 40_000)]
    requests: usize,
    /// Requests before each of them that are not counted
    #[arg(long, default_value_t = 4_000)]
    warm_up: usize,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests under way at once on each connection
    #[arg(long, default_value_t = 10)]
    streams: usize,
    /// Only scenarios whose names hold this text, and the floor
    #[arg(long, default_value = "")]
    only: String,
    /// Another build of the server to measure
    #[arg(long, default_value = env!("CARGO_BIN_EXE_outrigger"))]
    server: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Echo { listen, certs }) = arguments.role {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(echo::serve(listen, &certs));
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments.options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let servers = server::Servers::start(folder.path(), &options.server)?;
    let tls = Arc::new(client::tls(&server::authority(folder.path())?, &Arc::new(aws_lc_rs::default_provider()))?);
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        let mut round = Vec::new();
        for scenario in scenario::ALL.iter().filter(|scenario| scenario.is_among(&options.only)) {
            let measured = run(scenario, &servers, &tls, options).await;
            round.push(measured.with_context(|| format!("round {number}: {}", scenario.name))?);
        }
        rounds.push(round);
    }
    report::print(&rounds, options);
    Ok(())
}

/// One scenario once: answers are looked into, the server is warmed up, then counted.
async fn run(
    scenario: &scenario::Scenario,
    servers: &server::Servers,
    tls: &Arc<rustls::ClientConfig>,
    options: &Options,
) -> anyhow::Result<report::Measured> {
    let server = servers.of(scenario.server);
    let body = scenario.body();
    let connections = client::connect(server.address, tls, options.connections).await?;
    let answer = connections.ask(&body).await?;
    scenario.check(&body, &answer)?;
    connections.load(&body, answer.len(), options.warm_up, options.streams).await?;
    let before = server.cpu_time()?;
    let load = connections.load(&body, answer.len(), options.requests, options.streams).await?;
    let cpu = server.cpu_time()?.since(&before)?;
    Ok(report::Measured::of(cpu, load))
}
