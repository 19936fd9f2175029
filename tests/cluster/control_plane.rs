//! A real control plane on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and KWOK as all the kubelets.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::binaries::Binaries;
use crate::keys::{self, Identity};
use crate::supervisor::{Process, Program, Supervisor};

const STAGES: &str = include_str!("stages.yaml");
/// The socket of the proxy for services, in the folder of a control plane.
pub(crate) const NETWORK: &str = "network.sock";
/// What accounts of the cluster asked for, in the folder of a control plane.
pub(crate) const AUDIT_LOG: &str = "audit.log";
const READY_WITHIN: Duration = Duration::from_mins(1);

pub(crate) struct ControlPlane {
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) folder: PathBuf,
    pub(crate) binaries: Arc<Binaries>,
    ports: Ports,
    /// Whether services are dialled, through a proxy that listens at `NETWORK`.
    has_network: bool,
    client: Client,
    /// None between `stop_api_server` and `start_api_server`.
    api_server: Mutex<Option<Process>>,
    /// etcd first.
    others: Mutex<Vec<Process>>,
}

struct Ports {
    etcd: u16,
    etcd_peer: u16,
    api_server: u16,
    controller_manager: u16,
    scheduler: u16,
}

impl Ports {
    fn choose() -> Result<Self> {
        let port = keys::free_port;
        Ok(Self { etcd: port()?, etcd_peer: port()?, api_server: port()?, controller_manager: port()?, scheduler: port()? })
    }
}

impl ControlPlane {
    /// Starts everything and returns when the API server is ready. `folder` gets all data and logs; with a network, the
    /// API server dials services through a proxy that listens at `NETWORK` in it.
    pub(crate) async fn start(supervisor: Arc<Supervisor>, folder: PathBuf, binaries: Arc<Binaries>, has_network: bool) -> Result<Self> {
        let ports = Ports::choose()?;
        write_files(&folder, ports.api_server)?;
        let client = client(&folder.join("kubeconfig")).await?;
        let plane =
            Self { supervisor, folder, binaries, ports, has_network, client, api_server: Mutex::new(None), others: Mutex::default() };
        plane.boot().await?;
        Ok(plane)
    }

    /// Starts everything on what was there before; returns when the API server is ready.
    pub(crate) async fn boot(&self) -> Result<()> {
        self.others.lock().await.push(self.run("etcd", self.etcd_flags())?);
        self.start_api_server().await?;
        let mut others = self.others.lock().await;
        others.push(self.run("kube-controller-manager", self.controller_manager_flags())?);
        others.push(self.run("kube-scheduler", self.scheduler_flags())?);
        others.push(self.run("kwok", Self::kwok_flags())?);
        Ok(())
    }

    /// SIGKILL for every process, as in a power cut.
    pub(crate) async fn crash(&self) -> Result<()> {
        self.api_server.lock().await.take();
        self.others.lock().await.clear();
        Ok(())
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Belongs to a cluster administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The port of the API server, and the authority of its certificate.
    pub(crate) fn api_server(&self) -> (u16, PathBuf) {
        (self.ports.api_server, self.folder.join("api-authority.crt"))
    }

    /// SIGKILL, as when the machine dies. All else goes on.
    pub(crate) async fn kill_api_server(&self) -> Result<()> {
        self.api_server.lock().await.take().context("the API server is stopped already")?.kill()
    }

    /// SIGTERM; returns when it has ended.
    pub(crate) async fn stop_api_server(&self) -> Result<()> {
        let process = self.api_server.lock().await.take().context("the API server is stopped already")?;
        process.terminate()?;
        eventually("the end of the API server", READY_WITHIN, async || {
            ensure!(process.ended()?.is_some(), "it still runs");
            Ok(())
        })
        .await
    }

    /// Starts it on the port and the data that it had before, unless it runs; returns when it is ready.
    pub(crate) async fn start_api_server(&self) -> Result<()> {
        let mut slot = self.api_server.lock().await;
        if slot.is_some() {
            return Ok(());
        }
        let process = self.run("kube-apiserver", self.api_server_flags())?;
        let ready = eventually("a ready API server", READY_WITHIN, async || {
            let request = axum::http::Request::get("/readyz").body(Vec::new())?;
            Ok(self.client.request_text(request).await.map(drop)?)
        });
        tokio::select! {
            ready = ready => ready.with_context(|| process.log_tail())?,
            ended = self.failure(&process) => return ended,
        }
        *slot = Some(process);
        Ok(())
    }

    /// An error if any process has ended that nobody stopped.
    pub(crate) async fn still_runs(&self) -> Result<()> {
        let (api_server, others) = (self.api_server.lock().await, self.others.lock().await);
        others.iter().chain(api_server.as_ref()).try_for_each(Process::still_runs)
    }

    /// Returns when one of the processes has ended that an API server needs.
    async fn failure(&self, api_server: &Process) -> Result<()> {
        loop {
            self.others.lock().await.iter().chain([api_server]).try_for_each(Process::still_runs)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn run(&self, name: &str, args: Vec<String>) -> Result<Process> {
        self.supervisor.run(Program {
            name: name.to_owned(),
            path: self.binaries.path(name)?.to_owned(),
            args,
            // KWOK reads a configuration from its user's home.
            env: [("HOME".to_owned(), self.folder.display().to_string())].into_iter().chain(without_proxy()).collect(),
            folder: self.folder.clone(),
            log: self.folder.join(format!("{name}.log")),
        })
    }

    fn etcd_flags(&self) -> Vec<String> {
        let (clients, peers) = (format!("http://127.0.0.1:{}", self.ports.etcd), format!("http://127.0.0.1:{}", self.ports.etcd_peer));
        vec![
            "--data-dir=etcd".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
        ]
    }

    fn api_server_flags(&self) -> Vec<String> {
        let fixed = "--cert-dir=apiserver --tls-cert-file=api.crt --tls-private-key-file=api.key --token-auth-file=tokens.csv \
            --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --service-cluster-ip-range=10.0.0.0/24 \
            --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
            --service-account-signing-key-file=accounts.key --authorization-mode=Node,RBAC --allow-privileged \
            --audit-policy-file=audit.yaml \
            --max-requests-inflight=2000 --max-mutating-requests-inflight=2000";
        let ours = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--secure-port={}", self.ports.api_server),
            format!("--audit-log-path={AUDIT_LOG}"),
            // Without it a server that is told to stop waits a minute for clients to end their watches.
            "--shutdown-watch-termination-grace-period=1s".to_owned(),
        ];
        let network = self.has_network.then(|| "--egress-selector-config-file=egress.yaml".to_owned());
        words(fixed).chain(ours).chain(network).collect()
    }

    fn controller_manager_flags(&self) -> Vec<String> {
        let fixed = "--service-account-private-key-file=accounts.key --root-ca-file=api-authority.crt";
        Self::client_flags(self.ports.controller_manager).chain(words(fixed)).collect()
    }

    fn scheduler_flags(&self) -> Vec<String> {
        Self::client_flags(self.ports.scheduler).collect()
    }

    fn client_flags(port: u16) -> impl Iterator<Item = String> + use<> {
        let fixed = "--kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 --kube-api-qps=500 --kube-api-burst=1000";
        words(fixed).chain([format!("--secure-port={port}")])
    }

    fn kwok_flags() -> Vec<String> {
        let fixed = "--kubeconfig=kubeconfig --config=stages.yaml --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake \
            --node-lease-duration-seconds=40 --cidr=10.244.0.0/16";
        words(fixed).collect()
    }
}

/// What is written down: requests of service accounts, which here are those of our servers.
fn audit() -> Value {
    let rule = json!({"level": "Metadata", "userGroups": ["system:serviceaccounts"]});
    json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [rule]})
}

/// Services are dialled through a proxy.
fn egress() -> Value {
    let connection = json!({"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": NETWORK}}});
    json!({
        "apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    })
}

fn words(text: &str) -> impl Iterator<Item = String> + use<> {
    text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Everything here is on loopback: no proxy of the environment has a part in it.
pub(crate) fn without_proxy() -> impl Iterator<Item = (String, String)> {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].into_iter().flat_map(|name| {
        let lower = name.to_lowercase();
        [(name.to_owned(), String::new()), (lower, String::new())]
    })
}

fn write_files(folder: &Path, api_server: u16) -> Result<()> {
    let (identity, token) = (Identity::for_loopback("kube-apiserver")?, keys::token()?);
    let (private, public) = keys::signing_key()?;
    let authority = &identity.authority;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{api_server}"), "certificate-authority": folder.join("api-authority.crt"),
        }}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    });
    let files = [
        ("api-authority.crt", authority),
        ("api.crt", &identity.certificate),
        ("api.key", &identity.key),
        ("accounts.key", &private),
        ("accounts.pub", &public),
        ("tokens.csv", &format!("{token},admin,admin,system:masters\n")),
        ("stages.yaml", &STAGES.to_owned()),
        ("kubeconfig", &kubeconfig.to_string()),
        ("egress.yaml", &egress().to_string()),
        ("audit.yaml", &audit().to_string()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).with_context(|| format!("writing {name}"))?;
    }
    Ok(())
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

/// Tries until it works. Only for what cannot be watched: a process that starts or ends.
pub(crate) async fn eventually(what: &str, within: Duration, attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let Err(error) = attempt().await else { return Ok(()) };
        if Instant::now() > deadline {
            bail!("no {what} within {} s: {error:#}", within.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
