//! The doors that need no server.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::now;
use crate::{
    args::{Common, Inject, Manifests, Review},
    manifests::{self, Rendering},
    offline::{
        documents::{self, Document},
        files::Folder,
        pods, reviews,
    },
    state::State,
    telemetry::log,
};

fn offline_state(folder: &Path, common: &Common) -> anyhow::Result<(State, Vec<serde_json::Value>)> {
    log::start(&common.log, common.log_format)?;
    let gates = common.gates()?;
    let folder = Folder { path: folder.to_owned(), own_namespace: common.namespace.clone(), gates };
    Ok(folder.load()?)
}

fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(documents::read(file)?);
    }
    Ok(all)
}

/// `outrigger inject`
pub fn inject(arguments: &Inject) -> anyhow::Result<()> {
    let (state, _) = offline_state(&arguments.from, &arguments.common)?;
    let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
    for (index, document) in read_all(&arguments.files)?.iter().enumerate() {
        let injected = pods::inject(document, &state, now())?;
        for warning in &injected.warnings {
            writeln!(notes, "Warning: {warning}")?;
        }
        if arguments.why {
            for reason in &injected.reasons {
                writeln!(notes, "{} document {}: set {:?}: {}", document.file, document.number, reason.subject, reason.text)?;
            }
        }
        if index > 0 && arguments.output == pods::Output::Yaml {
            writeln!(out, "---")?;
        }
        out.write_all(injected.shown(arguments.output).map_err(|problem| document.error(".", problem))?.as_bytes())?;
    }
    Ok(())
}

/// `outrigger review`
pub fn review(arguments: &Review) -> anyhow::Result<()> {
    let (mut state, objects) = offline_state(&arguments.from, &arguments.common)?;
    let mut out = io::stdout().lock();
    for document in read_all(&arguments.files)? {
        writeln!(out, "{}", reviews::answer(&document, &mut state, &objects, now())?)?;
    }
    Ok(())
}

/// `outrigger manifests`
pub fn manifests(arguments: &Manifests) -> anyhow::Result<()> {
    let rendering = Rendering { namespace: arguments.namespace.clone(), strict: arguments.strict, ..Rendering::default() };
    match &arguments.out {
        None => {
            let mut out = io::stdout().lock();
            for file in manifests::installation(&rendering)? {
                writeln!(out, "---\n# {}\n{}", file.path.display(), file.text)?;
            }
            Ok(())
        }
        Some(out) if arguments.check => {
            let differences = manifests::check(&rendering, out)?;
            if differences.is_empty() {
                return Ok(());
            }
            let lines: Vec<_> = differences.iter().map(ToString::to_string).collect();
            bail!("{} is not what would be rendered:\n{}", out.display(), lines.join("\n"))
        }
        Some(out) => Ok(manifests::write(&rendering, out)?),
    }
}
