//! kubectl and helm, as a user runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::control_plane::{ControlPlane, eventually, without_proxy};
use crate::keys;
use crate::supervisor::Program;

/// Longer than any of their own time limits here.
const PATIENCE: Duration = Duration::from_mins(5);

/// What came on standard output; fails with standard error if the program does.
pub(crate) async fn kubectl(plane: &ControlPlane, args: &[&str]) -> Result<String> {
    run(plane, "kubectl", args).await
}

/// The same.
pub(crate) async fn helm(plane: &ControlPlane, args: &[&str]) -> Result<String> {
    run(plane, "helm", args).await
}

async fn run(plane: &ControlPlane, tool: &str, args: &[&str]) -> Result<String> {
    let name = format!("{tool}-{}", keys::suffix()?);
    let out = plane.folder.join(format!("{name}.out"));
    let home = plane.folder.display().to_string();
    let folders = ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|variable| (variable.to_owned(), home.clone()));
    let kubeconfig = ("KUBECONFIG".to_owned(), plane.kubeconfig().display().to_string());
    // Under the supervisor, which keeps one log of a program: the shell keeps standard output apart.
    let shell = ["-c", "out=$1; shift; exec \"$@\" > \"$out\"", "sh"].map(str::to_owned);
    let (path, program) = (out.display().to_string(), plane.binaries.path(tool)?.display().to_string());
    let process = plane.supervisor.run(Program {
        name: format!("{tool} {}", args.join(" ")),
        path: "sh".into(),
        args: shell.into_iter().chain([path, program]).chain(args.iter().map(|arg| (*arg).to_owned())).collect(),
        env: without_proxy().chain(folders).chain([kubeconfig]).collect(),
        folder: plane.folder.clone(),
        log: plane.folder.join(format!("{name}.log")),
    })?;
    let ended = std::cell::RefCell::new(String::new());
    eventually(&format!("end of {tool}"), PATIENCE, async || {
        ended.replace(process.ended()?.context("it goes on")?);
        Ok(())
    })
    .await?;
    let ended = ended.into_inner();
    ensure!(ended.ends_with(": 0"), "{tool} {} ended ({ended}){}", args.join(" "), process.log_tail());
    fs::read_to_string(&out).with_context(|| out.display().to_string())
}

/// A folder that is committed under `manifests/`.
pub(crate) fn committed(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(folder)
}

/// A kustomization of a user: ours with some of its components.
pub(crate) fn kustomization(plane: &ControlPlane, components: &[&str]) -> Result<PathBuf> {
    let site = plane.folder.join(format!("kustomization-{}", keys::suffix()?));
    fs::create_dir(&site)?;
    // kustomize follows neither absolute paths nor links that lead out: a user has the manifests beside his own.
    copy(&committed(""), &site.join("manifests"))?;
    let own = site.join("own");
    fs::create_dir(&own)?;
    let components: String = components.iter().fold(String::new(), |text, name| text + "- ../manifests/" + name + "\n");
    fs::write(own.join("kustomization.yaml"), format!("resources:\n- ../manifests\ncomponents:\n{components}"))?;
    Ok(own)
}

/// A folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
