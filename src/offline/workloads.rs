//! Workloads of a folder: those of known kinds, and whatever else says how many pods it should have.

use super::{
    documents::{Document, DocumentError},
    files::decode,
};
use crate::{
    base::{
        interned::Interner,
        workload::{Wire, Workload},
    },
    state::workloads::{BUILT_IN, OF_KRUISE},
};

/// The Job that a document describes.
pub(super) fn job(document: &Document, interner: &mut Interner) -> Result<Workload, DocumentError> {
    let mut wire: Wire = decode(document)?;
    wire.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(Workload::read_job(&wire, interner))
}

/// The workload that a document describes; none if it is something else. An object of an unknown kind is never an error.
pub(super) fn read(
    document: &Document,
    [api_version, kind]: [&str; 2],
    interner: &mut Interner,
) -> Result<Option<Workload>, DocumentError> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if BUILT_IN.contains(&[group, kind]) || OF_KRUISE.contains(&[group, kind]) {
        let mut wire: Wire = decode(document)?;
        // Where kubectl would put it.
        wire.metadata.namespace.get_or_insert_with(|| "default".to_owned());
        return Ok(Some(Workload::read(&wire, [group, version, kind], interner)));
    }
    let is_scaled = document.value.pointer("/spec/replicas").is_some();
    let Some(mut wire) = is_scaled.then(|| decode::<Wire>(document).ok()).flatten() else { return Ok(None) };
    wire.metadata.namespace.get_or_insert_with(|| "default".to_owned());
    Ok(Workload::read_scaled(&wire, [group, version, kind], interner))
}
