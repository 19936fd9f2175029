//! cert-manager's CA injector: a program of its own, built from cert-manager's Go module (`cainjector/`) when the first test wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::applying;
use crate::binaries::{has_go, lock, say};
use crate::control_plane::{ControlPlane, without_proxy};
use crate::supervisor::{Process, Program, Supervisor};

const MODULE: &str = include_str!("cainjector/go.mod");
const SUMS: &str = include_str!("cainjector/go.sum");
const SOURCE: &str = include_str!("cainjector/main.go");
const CERT_MANAGER: &str = "github.com/cert-manager/cert-manager";

/// Why it cannot be built here, if it cannot.
pub(crate) fn what_is_missing() -> Option<String> {
    (!has_go()).then(|| "no Go on the PATH to build cert-manager's CA injector".to_owned())
}

/// The folder of the module.
fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cainjector")
}

/// Builds it, unless that was done before.
pub(crate) fn build(plane: &ControlPlane) -> Result<PathBuf> {
    built(&plane.supervisor, &plane.folder)
}

/// Starts it against this control plane.
pub(crate) fn start(plane: &ControlPlane) -> Result<Process> {
    let program = build(plane)?;
    let kubeconfig = ("KUBECONFIG".to_owned(), plane.kubeconfig().display().to_string());
    plane.supervisor.run(Program {
        name: "cainjector".to_owned(),
        path: program,
        args: Vec::new(),
        env: [("HOME".to_owned(), plane.folder.display().to_string()), kubeconfig].into_iter().chain(without_proxy()).collect(),
        folder: plane.folder.clone(),
        log: plane.folder.join("cainjector.log"),
    })
}

fn built(supervisor: &Arc<Supervisor>, logs: &Path) -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("the target folder")?;
    let out = target.join("cainjector");
    let (stamp, program) = (out.join("built"), out.join("cainjector"));
    fs::create_dir_all(&out)?;
    // Held until this function returns.
    let _lock = lock(&out.join("lock"))?;
    let recipe = [MODULE, SUMS, SOURCE].concat();
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == recipe) {
        return Ok(program);
    }
    let begin = Instant::now();
    say("building cert-manager's CA injector from its Go module; this happens once and takes some minutes")?;
    let flags = ["build", "-trimpath", "-ldflags", "-s -w", "-o"].map(str::to_owned);
    let go = supervisor.run(Program {
        name: "go build of cainjector".to_owned(),
        path: "go".into(),
        args: flags.into_iter().chain([program.display().to_string(), ".".to_owned()]).collect(),
        env: [("GOWORK".to_owned(), "off".to_owned())].into(),
        folder: module(),
        log: logs.join("build-cainjector.log"),
    })?;
    let how = loop {
        match go.ended()? {
            Some(how) => break how,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    ensure!(program.is_file() && how.ends_with(": 0"), "cainjector cannot be built ({how}){}", go.log_tail());
    fs::write(&stamp, recipe)?;
    say(&format!("cainjector built in {} s", begin.elapsed().as_secs()))?;
    Ok(program)
}

/// The definitions of cert-manager's kinds that an installation of ours has objects of, as its module has them.
pub(crate) fn definitions() -> Result<Vec<Value>> {
    let listed =
        Command::new("go").args(["list", "-m", "-f", "{{.Dir}}", CERT_MANAGER]).env("GOWORK", "off").current_dir(module()).output()?;
    ensure!(listed.status.success(), "go list: {}", String::from_utf8_lossy(&listed.stderr));
    let folder = PathBuf::from(String::from_utf8(listed.stdout)?.trim()).join("deploy/crds");
    let mut all = Vec::new();
    for name in ["certificates", "issuers"] {
        let path = folder.join(format!("cert-manager.io_{name}.yaml"));
        all.extend(applying::documents(&fs::read_to_string(&path).with_context(|| path.display().to_string())?)?);
    }
    Ok(all)
}
