//! The servers as processes: started in a folder of their own, asked for their CPU time, ended when dropped.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use anyhow::Context;
use jiff::Timestamp;
use outrigger::server::throwaway;
use serde_json::{Value, json};

use crate::{
    fixtures::sets,
    scenario::{OTHERS, Which},
};

/// All servers of a run.
pub(crate) struct Servers {
    echo: Server,
    few: Server,
    many: Server,
}

/// A running server.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

/// Nanoseconds on a CPU by thread.
pub(crate) struct CpuTime(BTreeMap<PathBuf, u64>);

impl Servers {
    /// Starts all of them, with their certificate and their sets below `folder`.
    pub(crate) fn start(folder: &Path, program: &Path) -> anyhow::Result<Self> {
        let certs = folder.join("certs");
        make_certificate(&certs)?;
        let known = || [0, 1].map(sets::matching).into_iter().chain([sets::unfiled()]);
        let few = write_sets(&folder.join("few"), known().collect())?;
        let many = write_sets(&folder.join("many"), known().chain((0..OTHERS).map(sets::other)).collect())?;
        Ok(Self {
            echo: Server::echo(&certs)?,
            few: Server::product(program, &few, &certs)?,
            many: Server::product(program, &many, &certs)?,
        })
    }

    pub(crate) fn of(&self, which: Which) -> &Server {
        match which {
            Which::Echo => &self.echo,
            Which::Few => &self.few,
            Which::Many => &self.many,
        }
    }
}

/// The authority that signed the certificate of all servers, in PEM.
pub(crate) fn authority(folder: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(fs::read(folder.join("certs/ca.crt"))?)
}

fn make_certificate(certs: &Path) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "certificates are made for a time")]
    let now = Timestamp::now();
    throwaway::pair(certs, &["localhost".to_owned()], now)?;
    Ok(())
}

fn write_sets(folder: &Path, sets: Vec<Value>) -> anyhow::Result<PathBuf> {
    fs::create_dir(folder)?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": sets.into_iter().chain([namespace]).collect::<Vec<_>>()});
    fs::write(folder.join("cluster.json"), list.to_string())?;
    Ok(folder.to_owned())
}

/// An address that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Server {
    fn echo(certs: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo").arg(address.to_string()).arg(certs);
        Self::start(command, address)
    }

    fn product(program: &Path, from: &Path, certs: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["serve", "--log", "warn", "--admin", "127.0.0.1:0", "--listen"]).arg(address.to_string());
        command.arg("--from").arg(from).arg("--certs").arg(certs);
        Self::start(command, address)
    }

    /// Starts a process and waits until it takes connections.
    fn start(mut command: Command, address: SocketAddr) -> anyhow::Result<Self> {
        let process = command.env("TOKIO_WORKER_THREADS", "1").spawn().with_context(|| format!("{command:?}"))?;
        let server = Self { process, address };
        for _ in 0..300 {
            if std::net::TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("{command:?} takes no connections")
    }

    /// What its threads have used so far. Exact only while it has nothing to do.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<CpuTime> {
        // The kernel counts a thread's time when it goes to sleep, which it does soon after the last answer.
        std::thread::sleep(Duration::from_millis(20));
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let path = thread?.path().join("schedstat");
            let text = fs::read_to_string(&path)?;
            let nanoseconds = text.split_ascii_whitespace().next().context("an empty schedstat")?.parse()?;
            threads.insert(path, nanoseconds);
        }
        Ok(CpuTime(threads))
    }
}

impl CpuTime {
    /// Nanoseconds since `before`. A thread that has ended since then has taken its count with it.
    pub(crate) fn since(&self, before: &Self) -> anyhow::Result<u64> {
        anyhow::ensure!(before.0.keys().all(|thread| self.0.contains_key(thread)), "a thread of the server ended while it was measured");
        let new = |(thread, now): (&PathBuf, &u64)| now - before.0.get(thread).unwrap_or(&0);
        Ok(self.0.iter().map(new).sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
