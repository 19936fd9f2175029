//! Recorded cases: what the reference answered, for tests.

use std::{fs, path::Path};

use serde_json::Value;

/// The cases of a folder whose names begin as given, with their names.
pub(crate) fn cases(folder: &str, prefix: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names = files.iter().map(|file| (file, file.file_stem().unwrap().to_string_lossy().into_owned()));
    let cases: Vec<_> = names
        .filter(|(_, name)| name.starts_with(prefix))
        .map(|(file, name)| (name, serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()))
        .collect();
    assert!(!cases.is_empty(), "no recorded case begins with {prefix}");
    cases
}
