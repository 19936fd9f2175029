//! What a container of ours is started with: its pod's arguments, environment, account and volumes, brought to loopback and to a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Secret};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::kubelet::Node;
use crate::control_plane::without_proxy;
use crate::rights::token;
use crate::supervisor::Program;

/// How often mounted secrets are looked at. A kubelet takes up to a minute or two.
const REFRESHED: Duration = Duration::from_millis(500);

/// All that one container needs to start.
pub(super) struct Site {
    program: Program,
    secrets: Api<Secret>,
    /// Secrets and the folders that they are mounted at.
    mounts: Vec<(String, PathBuf)>,
}

impl Site {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how much is told")]
    pub(super) async fn of(node: &Node, pod: &Pod, container: &Container, address: &str, ports: (u16, u16)) -> Result<Self> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let folder = node.folder.join(&name);
        fs::create_dir_all(&folder)?;
        let mounts = mounts(pod, container, &folder)?;
        let secrets = Api::namespaced(node.client.clone(), &namespace);
        let kubeconfig = folder.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of(node, pod, &folder).await?.to_string())?;
        let mut env: BTreeMap<String, String> = without_proxy().collect();
        for variable in container.env.iter().flatten() {
            env.insert(variable.name.clone(), brought(&value(variable, pod, address)?, &mounts));
        }
        env.extend(std::env::var("OUTRIGGER_LOG").ok().map(|filter| ("OUTRIGGER_LOG".to_owned(), filter)));
        env.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
        env.insert("OUTRIGGER_LISTEN".to_owned(), format!("127.0.0.1:{}", ports.0));
        env.insert("OUTRIGGER_ADMIN".to_owned(), format!("127.0.0.1:{}", ports.1));
        let args = container.args.iter().flatten().map(|arg| brought(arg, &mounts)).collect();
        let log = folder.join("log");
        let program = Program { name, path: env!("CARGO_BIN_EXE_outrigger").into(), args, env, folder, log };
        let site = Self { program, secrets, mounts: mounts.into_iter().map(|(secret, _, to)| (secret, to)).collect() };
        Ok(site)
    }

    /// Returns when all secrets exist that are mounted, and are there.
    pub(super) async fn mount(&self) {
        while let Err(error) = self.fetch().await {
            tracing::debug!(%error, "a volume cannot be mounted yet");
            tokio::time::sleep(REFRESHED).await;
        }
    }

    pub(super) fn program(&self) -> Program {
        self.program.clone()
    }

    /// Brings changes of mounted secrets to the files, for ever.
    pub(super) async fn refresh(&self) -> Result<()> {
        loop {
            tokio::time::sleep(REFRESHED).await;
            // A secret that is gone leaves its files.
            let _ = self.fetch().await;
        }
    }

    async fn fetch(&self) -> Result<()> {
        for (name, folder) in &self.mounts {
            let secret = self.secrets.get(name).await?;
            fs::create_dir_all(folder)?;
            for (file, content) in secret.data.into_iter().flatten() {
                let (path, draft) = (folder.join(&file), folder.join(format!(".{file}")));
                if fs::read(&path).is_ok_and(|old| old == content.0) {
                    continue;
                }
                fs::write(&draft, content.0)?;
                fs::rename(draft, path)?;
            }
        }
        Ok(())
    }
}

/// Of each mounted secret: its name, where the container sees it, where it is.
fn mounts(pod: &Pod, container: &Container, folder: &Path) -> Result<Vec<(String, String, PathBuf)>> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref()).into_iter().flatten();
    let volumes: BTreeMap<_, _> = volumes.map(|volume| (volume.name.as_str(), volume)).collect();
    let mut found = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.get(mount.name.as_str()).with_context(|| format!("no volume {}", mount.name))?;
        match &volume.secret {
            Some(secret) => {
                let name = secret.secret_name.clone().context("a volume of a secret without its name")?;
                found.push((name, mount.mount_path.clone(), folder.join(&mount.name)));
            }
            // The account's token: see `kubeconfig_of`.
            None if volume.projected.is_some() => {}
            None => bail!("volume {}: only secrets are mounted here", mount.name),
        }
    }
    Ok(found)
}

/// With paths of this machine in place of those that the container sees.
fn brought(text: &str, mounts: &[(String, String, PathBuf)]) -> String {
    mounts.iter().fold(text.to_owned(), |text, (_, at, to)| text.replace(at, &to.display().to_string()))
}

/// The account that the pod has, as a kubeconfig.
async fn kubeconfig_of(node: &Node, pod: &Pod, folder: &Path) -> Result<Value> {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).context("a pod without an account")?;
    let token = token(&node.client, &pod.namespace().unwrap_or_default(), &account).await?;
    let file = folder.join("token");
    fs::write(&file, token)?;
    let (port, authority) = &node.api_server;
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "pod",
        "clusters": [{"name": "estate", "cluster": {"server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority}}],
        "users": [{"name": "account", "user": {"tokenFile": file}}],
        "contexts": [{"name": "pod", "context": {"cluster": "estate", "user": "account"}}],
    }))
}

fn value(variable: &EnvVar, pod: &Pod, address: &str) -> Result<String> {
    let Some(source) = &variable.value_from else { return Ok(variable.value.clone().unwrap_or_default()) };
    let path = source.field_ref.as_ref().map(|field| field.field_path.as_str());
    Ok(match path {
        Some("metadata.name") => pod.name_any(),
        Some("metadata.namespace") => pod.namespace().unwrap_or_default(),
        Some("spec.nodeName") => pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        Some("status.podIP") => address.to_owned(),
        _ => bail!("variable {}: only some fields of the pod are given here", variable.name),
    })
}
