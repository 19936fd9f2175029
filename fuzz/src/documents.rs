//! Manifests, in YAML or JSON.

use outrigger::offline::documents::parse;
use serde_json::Value;

/// Takes the text of a file.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let documents = match parse("file", &text) {
        Ok(documents) => documents,
        Err(error) => return assert!(error.to_string().starts_with("file: "), "{error}"),
    };
    for document in documents {
        // What was read can be written, and means the same.
        let written = document.value.to_string();
        let again: Vec<Value> = parse("file", &written).unwrap().into_iter().map(|document| document.value).collect();
        if document.value["kind"] != "List" && document.value.is_object() {
            assert_eq!(again, [document.value], "{written}");
        }
    }
}
