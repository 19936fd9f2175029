//! Recorded cases: what the reference answered, for tests.

use std::{fs, path::Path};

use regex::Regex;
use serde_json::Value;

/// The cases of a folder whose names begin as given, with their names.
pub(crate) fn cases(folder: &str, prefix: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names = files.iter().map(|file| (file, file.file_stem().unwrap().to_string_lossy().into_owned()));
    let cases: Vec<_> =
        names.filter(|(_, name)| name.starts_with(prefix)).map(|(file, name)| (name, read(&fs::read_to_string(file).unwrap()))).collect();
    assert!(!cases.is_empty(), "no recorded case begins with {prefix}");
    cases
}

/// The recordings are YAML 1.1, to which `1e3` is a text, while it is a number to our reader, and to which U+2028 ends a line, so that
/// the blanks after it are no part of the text. A `y` or `n` is written as a text that it is.
fn read(yaml: &str) -> Value {
    let exponents = Regex::new(r"(?m)(: |- )([0-9]+[eE][-+]?[0-9]+|[0-9.]+[eE][0-9]+)$").unwrap();
    let breaks = Regex::new(r"([\u{2028}\u{2029}]) +").unwrap();
    let quoted = exponents.replace_all(yaml, "$1'$2'");
    serde_saphyr::from_str_with_options(&breaks.replace_all(&quoted, "$1"), serde_saphyr::options! { strict_booleans: true }).unwrap()
}
