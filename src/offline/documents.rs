//! Files of YAML or JSON with any number of documents, and where in them something is wrong.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Name of the file, `-` for standard input.
    pub file: String,
    /// Its number in the file, from 1, counting documents that hold something.
    pub number: usize,
    /// What it says.
    pub value: Value,
}

/// What is wrong, and where.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DocumentError {
    /// The file or folder cannot be read.
    #[error("{file}: {problem}")]
    Read {
        /// Name of the file.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// A document says something that cannot be.
    #[error("{file}: document {number}{object}: {field}: {problem}")]
    Field {
        /// Name of the file.
        file: String,
        /// Number of the document.
        number: usize,
        /// Kind and name of the object, in brackets, as far as known.
        object: String,
        /// Path of the field.
        field: String,
        /// What was expected, what was found.
        problem: String,
    },
}

impl Document {
    /// A field of this document is wrong.
    pub fn error(&self, field: impl Into<String>, problem: impl Into<String>) -> DocumentError {
        let text = |pointer: &str| self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let object = match (text("/kind"), text("/metadata/name")) {
            ("", _) => String::new(),
            (kind, "") => format!(" ({kind})"),
            (kind, name) => format!(" ({kind} {name})"),
        };
        DocumentError::Field { file: self.file.clone(), number: self.number, object, field: field.into(), problem: problem.into() }
    }
}

/// Reads a file, or standard input for `-`.
pub fn read(path: &Path) -> Result<Vec<Document>, DocumentError> {
    let file = path.display().to_string();
    let text = if file == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(|error| DocumentError::Read { file: file.clone(), problem: error.to_string() })?;
    parse(&file, &text)
}

/// Reads the documents in `text`, which came from `file`. The items of a v1 `List` are documents of their own.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, DocumentError> {
    let problem = |error: String| DocumentError::Read { file: file.to_owned(), problem: error };
    // JSON is read as such: a number keeps its digits, and the message speaks of JSON.
    let values: Vec<Value> = if text.trim_start().starts_with('{') {
        let stream = serde_json::Deserializer::from_str(text).into_iter();
        stream.collect::<Result<_, _>>().map_err(|error| problem(error.to_string()))?
    } else {
        super::yaml::read(text).map_err(|error| problem(error.to_string()))?
    };
    let mut documents = Vec::new();
    for value in values.into_iter().filter(|value| !value.is_null()) {
        let number = documents.len() + 1;
        if !value.is_object() {
            return Err(Document { file: file.to_owned(), number, value }.error(".", "expected an object"));
        }
        let document = Document { file: file.to_owned(), number, value };
        if document.value.get("kind").and_then(Value::as_str) == Some("List") {
            documents.extend(items_of(&document)?);
        } else {
            documents.push(document);
        }
    }
    Ok(documents)
}

fn items_of(list: &Document) -> Result<Vec<Document>, DocumentError> {
    let items = match list.value.get("items") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(items) => items.as_array().ok_or_else(|| list.error("items", "expected a list"))?,
    };
    let item = |(index, value): (usize, &Value)| {
        let is_object = value.is_object().then(|| Document { file: list.file.clone(), number: list.number + index, value: value.clone() });
        is_object.ok_or_else(|| list.error(format!("items[{index}]"), "expected an object"))
    };
    items.iter().enumerate().map(item).collect()
}

/// The manifest files of a folder, in the order of their names. Folders inside it are not looked into.
pub fn files_of(folder: &Path) -> Result<Vec<PathBuf>, DocumentError> {
    let problem = |error: io::Error| DocumentError::Read { file: folder.display().to_string(), problem: error.to_string() };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let is_manifest = path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_holds_many_documents_and_lists() {
        let documents = parse("f", "---\n# nothing\n---\nkind: A\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n---\nkind: D\n").unwrap();
        let found: Vec<_> = documents.iter().map(|d| (d.number, d.value["kind"].as_str().unwrap())).collect();
        assert_eq!(found, [(1, "A"), (2, "B"), (3, "C"), (4, "D")]);
    }

    #[test]
    fn json_is_read_too() {
        let documents = parse("f", "{\"kind\": \"A\"}\n{\"kind\": \"B\"}").unwrap();
        assert_eq!(documents.iter().map(|d| d.value.clone()).collect::<Vec<_>>(), [json!({"kind": "A"}), json!({"kind": "B"})]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        assert!(parse("f", "a: [").unwrap_err().to_string().starts_with("f: "));
        assert_eq!(parse("f", "- 1").unwrap_err().to_string(), "f: document 1: .: expected an object");
        let of_list = |items: &str| parse("f", &format!("kind: List\nitems: {items}")).unwrap_err().to_string();
        assert_eq!(of_list("[{kind: A}, b]"), "f: document 1 (List): items[1]: expected an object");
        assert_eq!(of_list("{kind: A}"), "f: document 1 (List): items: expected a list");
        assert_eq!(parse("f", "kind: List").unwrap(), []);
        let document = &parse("f", "kind: Pod\nmetadata: {name: web}").unwrap()[0];
        assert_eq!(document.error("spec", "missing").to_string(), "f: document 1 (Pod web): spec: missing");
    }
}
