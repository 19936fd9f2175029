//! One server, from its start until it is at rest.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a report of measured numbers")]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use outrigger::server::throwaway;

use crate::{Options, api_server::ApiServer, pods::Pods};

const PATIENCE: Duration = Duration::from_mins(5);

/// What a server came to.
pub(crate) struct Measured {
    ready: Duration,
    cpu: Duration,
    /// The most that it ever had, in bytes.
    peak: u64,
    rest: u64,
}

/// A process that ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints the head of the table.
pub(crate) fn head(options: &Options, pods: Pods) {
    let mut one = String::new();
    pods.write(0, &mut one);
    let how = if options.paged { "page by page" } else { "streamed" };
    println!("{} pods of {} bytes and more, listed {how}\n", options.pods, one.len());
    println!("| {:<34} | ready after s | CPU s | most MB | at rest MB | bytes a pod |", "");
    println!("|{:-<36}|--------------:|------:|--------:|-----------:|------------:|", "");
}

impl Measured {
    /// Starts a server that watches these pods.
    pub(crate) async fn of(pods: Pods, options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        std::fs::write(folder.path().join("kubeconfig"), ApiServer::kubeconfig(listener.local_addr()?))?;
        let serving = ApiServer { pods, is_paged: options.paged }.serve(listener);
        let path = folder.path().to_owned();
        let rest = Duration::from_secs(options.rest);
        let measuring = tokio::task::spawn_blocking(move || run(&path, rest));
        tokio::select! {
            served = serving => match served? {},
            measured = measuring => measured?,
        }
    }

    /// Prints a line; `others` are the server without pods, and how many this one has.
    pub(crate) fn print(&self, name: &str, others: Option<(&Self, usize)>) {
        let each = others.map(|(none, pods)| format!("{:.0}", (self.rest as f64 - none.rest as f64) / pods.max(1) as f64));
        println!(
            "| {name:<34} | {:>13.2} | {:>5.2} | {:>7.1} | {:>10.1} | {:>11} |",
            self.ready.as_secs_f64(),
            self.cpu.as_secs_f64(),
            self.peak as f64 / 1e6,
            self.rest as f64 / 1e6,
            each.unwrap_or_default()
        );
    }
}

fn run(folder: &Path, rest: Duration) -> Result<Measured> {
    let certs = folder.join("certs");
    #[expect(clippy::disallowed_methods, reason = "certificates are made for a time")]
    throwaway::pair(&certs, &["localhost".to_owned()], Timestamp::now())?;
    let admin = free_address()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    command.args(["serve", "--log", "warn", "--listen", &free_address()?.to_string(), "--admin", &admin.to_string()]);
    command.arg("--tls-cert-file").arg(certs.join("tls.crt")).arg("--tls-key-file").arg(certs.join("tls.key"));
    command.args(["--namespace", "outrigger-system"]).env("KUBECONFIG", folder.join("kubeconfig"));
    let began = Instant::now();
    let mut server = Running(command.spawn().with_context(|| format!("{command:?}"))?);
    while !is_ready(admin) {
        ensure!(server.0.try_wait()?.is_none(), "the server ended");
        ensure!(began.elapsed() < PATIENCE, "the server is not ready after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (ready, pid) = (began.elapsed(), server.0.id());
    let cpu = cpu(pid)?;
    std::thread::sleep(rest);
    Ok(Measured { ready, cpu, peak: memory(pid, "VmHWM:")?, rest: memory(pid, "VmRSS:")? })
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(admin)?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.0 200"))
}

fn memory(pid: u32, what: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).context("no such memory in /proc")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes * 1024)
}

fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field may hold blanks; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("no CPU time in /proc");
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
