//! A running server of this package, as a replica in the cluster would run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::control_plane::{eventually, without_proxy};
use crate::keys::{self, Identity};
use crate::rights;
use crate::supervisor::{Process, Program};
use crate::support::Cluster;
use crate::webhooks::Endpoint;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// `outrigger serve`; killed when dropped.
pub(crate) struct Outrigger {
    pub(crate) process: Process,
    endpoint: Endpoint,
    admin: u16,
    http: reqwest::Client,
}

impl Outrigger {
    /// Starts a server whose own namespace is `namespace`, with the rights that are rendered for it, and returns when it is ready.
    /// `extra` are further flags.
    pub(crate) async fn start(cluster: &Cluster, namespace: &str, extra: &[&str]) -> Result<Self> {
        Self::start_as(&Identity::for_loopback("outrigger")?, cluster, namespace, extra).await
    }

    /// The same with a certificate that others may have too.
    pub(crate) async fn start_as(identity: &Identity, cluster: &Cluster, namespace: &str, extra: &[&str]) -> Result<Self> {
        make_namespace(cluster, namespace).await?;
        let kubeconfig = rights::kubeconfig(&cluster.plane, namespace).await?;
        Self::start_with(identity, cluster, (namespace, &kubeconfig), extra).await
    }

    /// The same with the account that a kubeconfig names; its own namespace is there already.
    pub(crate) async fn start_with(identity: &Identity, cluster: &Cluster, own: (&str, &Path), extra: &[&str]) -> Result<Self> {
        let (port, admin) = (keys::free_port()?, keys::free_port()?);
        let program = program(cluster, own, (port, admin), identity, extra)?;
        let authority = reqwest::Certificate::from_pem(identity.authority.as_bytes())?;
        let http = reqwest::Client::builder().add_root_certificate(authority).no_proxy().timeout(Duration::from_secs(10)).build()?;
        let process = cluster.plane.supervisor.run(program)?;
        let server = Self { process, endpoint: Endpoint { port, authority_pem: identity.authority.clone() }, admin, http };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&self) -> Result<()> {
        let answers = eventually("ready server", READY_WITHIN, async || {
            let status = self.http.get(self.admin_url("/readyz")).send().await?.status();
            ensure!(status == reqwest::StatusCode::OK, "/readyz answers {status}");
            Ok(())
        });
        let ends = async {
            loop {
                self.process.still_runs()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            ready = answers => ready.with_context(|| self.process.log_tail()),
            ended = ends => ended,
        }
    }

    /// SIGKILL, as when the machine dies.
    pub(crate) fn kill(&self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM, as when its pod is deleted. It may go on for a while.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.process.terminate()
    }

    /// The value of one of its metrics.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(self.admin_url("/metrics")).send().await?.error_for_status()?.text().await?;
        let is_meant = |series: &str| series.strip_prefix(name).is_some_and(|labels| labels.is_empty() || labels.starts_with('{'));
        let values = text.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| is_meant(series));
        let values = values.map(|(_, value)| value.parse::<f64>()).collect::<Result<Vec<_>, _>>()?;
        ensure!(!values.is_empty(), "no metric {name} in\n{text}");
        Ok(values.into_iter().sum())
    }

    /// Where its webhooks answer, for `Sandbox::install_webhooks`.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A client that trusts this server's certificate.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.endpoint.url(path)
    }

    /// Readiness, health, metrics.
    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin)
    }
}

/// Where leases and revisions are kept. Servers of tests that run beside each other are replicas: one of them leads.
async fn make_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..Default::default() };
    let namespace = Namespace { metadata, ..Default::default() };
    match Api::<Namespace>::all(cluster.client()).create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.code != 409 => Err(kube::Error::Api(status).into()),
        Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn program(cluster: &Cluster, own: (&str, &Path), ports: (u16, u16), identity: &Identity, extra: &[&str]) -> Result<Program> {
    let (namespace, kubeconfig) = own;
    let name = format!("outrigger-{}", ports.0);
    let folder = cluster.plane.folder.join(&name);
    fs::create_dir(&folder)?;
    fs::write(folder.join("tls.crt"), &identity.certificate)?;
    fs::write(folder.join("tls.key"), &identity.key)?;
    let (listen, admin) = (format!("127.0.0.1:{}", ports.0), format!("127.0.0.1:{}", ports.1));
    let args = ["serve", "--listen", &listen, "--admin", &admin, "--namespace", namespace];
    // A leader dies with its test: the next one is not to be waited for.
    let election = ["--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=200ms"];
    let is_said_otherwise = |flag: &&&str| flag.split_once('=').is_some_and(|(name, _)| extra.iter().any(|other| other.starts_with(name)));
    let election = election.iter().filter(|flag| !is_said_otherwise(flag));
    let files = ["--tls-cert-file", "tls.crt", "--tls-key-file", "tls.key"];
    let kubeconfig = ("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
    Ok(Program {
        path: env!("CARGO_BIN_EXE_outrigger").into(),
        args: args.iter().chain(&files).chain(election).chain(extra).map(|arg| (*arg).to_owned()).collect(),
        env: without_proxy().chain([kubeconfig]).collect(),
        log: folder.join("log"),
        folder,
        name,
    })
}
