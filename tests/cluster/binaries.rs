//! The programs of a control plane: ready-made ones, or built from the Go modules in `controlplane/`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::supervisor::{Program, Supervisor};

const ASSETS: &str = "KUBEBUILDER_ASSETS";
const MODULE: &str = include_str!("controlplane/go.mod");
const SUMS: &str = include_str!("controlplane/go.sum");
/// Name, Go package and version of each program with a module of its own: they are made for other versions of the Kubernetes libraries.
const INSTALLED: [(&str, &str, &str); 2] =
    [("kwok", "sigs.k8s.io/kwok/cmd/kwok", "v0.7.0"), ("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0")];

/// Name and Go package of each program of the module.
const PACKAGES: [(&str, &str); 5] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

fn names() -> impl Iterator<Item = &'static str> {
    PACKAGES.iter().map(|(name, _)| *name).chain(INSTALLED.iter().map(|(name, ..)| *name))
}

/// Where each program lies.
pub(crate) struct Binaries(BTreeMap<&'static str, PathBuf>);

impl Binaries {
    pub(crate) fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("no program {name}"))
    }
}

/// Why there can be no control plane here, if there cannot.
pub(crate) fn what_is_missing() -> Option<String> {
    let lacking = lacking(&ready_made());
    if lacking.is_empty() || has_go() {
        return None;
    }
    Some(format!("no Go on the PATH to build a control plane, and {ASSETS} has no {}", lacking.join(", ")))
}

pub(crate) fn has_go() -> bool {
    Command::new("go").arg("version").output().is_ok_and(|output| output.status.success())
}

fn ready_made() -> BTreeMap<&'static str, PathBuf> {
    let Some(assets) = std::env::var_os(ASSETS).map(PathBuf::from) else { return BTreeMap::new() };
    names().map(|name| (name, assets.join(name))).filter(|(_, path)| path.is_file()).collect()
}

fn lacking(found: &BTreeMap<&str, PathBuf>) -> Vec<&'static str> {
    names().filter(|name| !found.contains_key(name)).collect()
}

/// Finds the programs, building those that are not ready-made. The first time takes minutes; `folder` gets the logs.
pub(crate) fn find_or_build(supervisor: &Arc<Supervisor>, folder: &Path) -> Result<Binaries> {
    let mut found = ready_made();
    if !lacking(&found).is_empty() {
        let built = built(supervisor, folder)?;
        for name in lacking(&found) {
            found.insert(name, built.join(name));
        }
    }
    Ok(Binaries(found))
}

fn built(supervisor: &Arc<Supervisor>, logs: &Path) -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("the target folder")?;
    let versions = Versions::read()?;
    let out = target.join(versions.folder_name());
    let (stamp, recipe) = (out.join("built"), versions.recipe());
    fs::create_dir_all(&out)?;
    // Held until this function returns; the kernel lets go of it whatever happens to us.
    let _lock = lock(&out.join("lock"))?;
    if fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == recipe) {
        return Ok(out);
    }
    let begin = Instant::now();
    say("building a control plane from its Go modules; this happens once and takes some minutes")?;
    let workshop = Workshop { supervisor, logs, out: &out, versions: &versions };
    for (name, package) in PACKAGES {
        let output = out.join(name).display().to_string();
        workshop.build(name, &["build", "-trimpath", "-ldflags", &versions.linker_flags(), "-o", &output, package])?;
    }
    for (name, package, version) in INSTALLED {
        workshop.build(name, &["install", "-ldflags", "-s -w", &format!("{package}@{version}")])?;
    }
    fs::write(&stamp, recipe)?;
    say(&format!("built in {} s", begin.elapsed().as_secs()))?;
    Ok(out)
}

struct Workshop<'a> {
    supervisor: &'a Arc<Supervisor>,
    logs: &'a Path,
    out: &'a Path,
    versions: &'a Versions,
}

impl Workshop<'_> {
    /// Runs the Go tool; under the supervisor too, so that an interrupted test run leaves no compiler behind.
    fn build(&self, name: &str, args: &[&str]) -> Result<()> {
        let begin = Instant::now();
        let out = self.out.join(name);
        let env = [("GOWORK", "off".to_owned()), ("GOBIN", self.out.display().to_string())];
        let go = self.supervisor.run(Program {
            name: format!("go build of {name}"),
            path: "go".into(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.map(|(key, value)| (key.to_owned(), value)).into(),
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/controlplane"),
            log: self.logs.join(format!("build-{name}.log")),
        })?;
        let how = loop {
            match go.ended()? {
                Some(how) => break how,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        ensure!(out.is_file() && how.ends_with(": 0"), "{name} cannot be built ({how}){}", go.log_tail());
        say(&format!("{name} {} in {} s", self.versions.of(name), begin.elapsed().as_secs()))
    }
}

/// The versions that the module file names, and so the only place where they stand.
struct Versions {
    kubernetes: &'static str,
    etcd: &'static str,
}

impl Versions {
    fn read() -> Result<Self> {
        let required = |module: &str| {
            let mut lines = MODULE.lines().map(str::trim);
            let version = lines.find_map(|line| line.strip_prefix(module)?.strip_prefix(' '));
            version.with_context(|| format!("go.mod does not require {module}"))
        };
        Ok(Self { kubernetes: required("k8s.io/kubernetes")?, etcd: required("go.etcd.io/etcd/server/v3")? })
    }

    fn of(&self, name: &str) -> &str {
        let installed = INSTALLED.iter().find(|(other, ..)| *other == name).map(|(.., version)| *version);
        installed.unwrap_or(if name == "etcd" { self.etcd } else { self.kubernetes })
    }

    fn folder_name(&self) -> String {
        format!("controlplane-kubernetes-{}-etcd-{}{}", self.kubernetes, self.etcd, Self::installed())
    }

    fn installed() -> String {
        INSTALLED.iter().fold(String::new(), |folder, (name, _, version)| folder + "-" + name + "-" + version)
    }

    /// Without these the servers call themselves v0.0.0-master.
    fn linker_flags(&self) -> String {
        let mut parts = self.kubernetes.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let variable = |name, value| format!(" -X k8s.io/component-base/version.{name}={value}");
        ["-s -w".to_owned(), variable("gitVersion", self.kubernetes), variable("gitMajor", major), variable("gitMinor", minor)].concat()
    }

    /// What the stamp says when everything was built: it differs as soon as anything else would be built.
    fn recipe(&self) -> String {
        format!("{}\n{}\n{}\n{MODULE}\n{SUMS}", names().collect::<Vec<_>>().join(" "), self.linker_flags(), Self::installed())
    }
}

pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    if file.try_lock().is_err() {
        say("another run of the tests is building the control plane; waiting for it")?;
        file.lock()?;
    }
    Ok(file)
}

/// Progress that a human waits for; the test harness shows nothing until a test ends.
pub(crate) fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stderr(), "controlplane: {text}")?)
}
