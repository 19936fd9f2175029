//! Who may name whom, and what a pure room may name at all. The table in `src/lib.rs`, so that a test can hold files against it.

use std::path::Path;

use super::source::Source;

/// The rooms from left to right; one may name those that stand right of it, and itself.
const ROOMS: &[&[&str]] = &[
    &["main"],
    &["lib"],
    &["app"],
    &["controllers"],
    &["args", "manifests", "offline", "cluster", "server", "telemetry"],
    &["handlers"],
    &["state"],
    &["budget", "protection", "sidecarset", "spread", "terminator"],
    &["admission"],
    &["plan"],
    &["base"],
];

/// What a room may name of those beside it.
pub(super) const EXCEPTIONS: &[(&str, &str)] = &[
    ("args", "offline::pods::Output"),
    ("args", "telemetry::log::Format"),
    ("cluster", "server::admin::Readiness"),
    ("cluster", "server::http::Settled"),
    ("cluster", "telemetry::metrics"),
    ("cluster", "server::http::Told"),
    ("manifests", "cluster::lease::election::NAME"),
    ("offline", "server::http::Settled"),
    ("offline", "telemetry::metrics::Metrics"),
    ("server", "telemetry::log"),
    ("server", "telemetry::metrics"),
    ("server", "telemetry::trace"),
];

const PURE: &[&str] = &["handlers", "state", "budget", "protection", "sidecarset", "spread", "terminator", "admission", "plan", "base"];

/// Paths that lead out of a pure room.
const IMPURE: &[&str] = &[
    "axum",
    "futures",
    "getrandom",
    "hyper",
    "hyper_util",
    "kube::Api",
    "kube::Client",
    "kube::Config",
    "kube::api",
    "kube::client",
    "kube::config",
    "kube::runtime",
    "log",
    "rand",
    "reqwest",
    "rustix",
    "rustls",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time",
    "tokio",
    "tokio_util",
    "tracing",
    "tracing_subscriber",
];

/// Words that do.
const IMPURE_WORDS: &[&[&str]] =
    &[&["async"], &["await"], &["::", "now"], &["println", "!"], &["eprintln", "!"], &["print", "!"], &["dbg", "!"], &["include_str", "!"]];

/// One path that leads to a room.
#[derive(Debug)]
pub(super) struct Import {
    /// What is wrong with it.
    pub(super) wrong: Option<String>,
    /// The exception that allows it.
    pub(super) exception: Option<(&'static str, &'static str)>,
}

fn place(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

/// The room of a file.
fn room(file: &Path) -> String {
    file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// How many times `super` leads from this file to the root.
fn depth(file: &Path) -> usize {
    let names = file.iter().count();
    if file.ends_with("mod.rs") { names - 1 } else { names }
}

/// All paths of a file that lead to a room, and whether they may.
pub(super) fn imports(file: &Path, source: &Source) -> Vec<Import> {
    let (from, depth) = (room(file), depth(file));
    let Some(own) = place(&from) else {
        return vec![Import { wrong: Some(format!("the room `{from}` is not in the table")), exception: None }];
    };
    let mut found = Vec::new();
    for (path, line) in source.paths() {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let rest = match path.first().map(String::as_str) {
            Some("crate" | "outrigger") => &path[1..],
            Some("super") if ups >= depth => &path[ups..],
            _ => continue,
        };
        let Some(to) = rest.first().filter(|to| **to != from) else { continue };
        let full = rest.join("::");
        let reaches = |target: &str| full == target || full.starts_with(&format!("{target}::"));
        let exception = EXCEPTIONS.iter().find(|(who, target)| *who == from && reaches(target)).copied();
        let is_allowed = exception.is_some() || place(to).is_some_and(|place| place > own);
        let wrong = (!is_allowed).then(|| format!("line {line}: `{from}` may not name `{full}`"));
        found.push(Import { wrong, exception });
    }
    found
}

/// What a file of a pure room says that it may not.
pub(super) fn impurities(file: &Path, source: &Source) -> Vec<String> {
    if !PURE.contains(&room(file).as_str()) {
        return Vec::new();
    }
    let paths = source.paths().into_iter().filter_map(|(path, line)| {
        let full = path.join("::");
        let is_impure =
            IMPURE.iter().any(|bad| full == *bad || full.starts_with(&format!("{bad}::"))) || path.last().is_some_and(|last| last == "now");
        is_impure.then(|| format!("line {line}: `{full}`"))
    });
    let words = IMPURE_WORDS.iter().filter_map(|words| source.find(words).map(|line| format!("line {line}: `{}`", words.concat())));
    paths.chain(words).collect()
}

/// Whether a file writes JSON Patch: operations as text, or by the types of a library.
pub(super) fn writes_patches(source: &Source) -> bool {
    let has_operation = source.texts().any(|text| text.contains("\"op\"") || text.contains("\\\"op\\\"") || text == "\"op\"");
    let types = [
        "PatchOperation",
        "AddOperation",
        "RemoveOperation",
        "ReplaceOperation",
        "CopyOperation",
        "MoveOperation",
        "TestOperation",
        "diff",
    ];
    let has_types =
        source.paths().iter().any(|(path, _)| path[0] == "json_patch" && path[1..].iter().any(|name| types.contains(&name.as_str())));
    has_operation || has_types
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(file: &str, text: &str) -> Vec<String> {
        imports(Path::new(file), &Source::read(text)).into_iter().filter_map(|import| import.wrong).collect()
    }

    #[test]
    fn an_import_to_the_right_or_of_its_own_room_is_fine() {
        assert_eq!(wrong("sidecarset/inject.rs", "use crate::{admission::edits::Edits, base::{hash, names}, sidecarset::api};"), [""; 0]);
        assert_eq!(wrong("sidecarset/inject.rs", "use super::api; fn f(x: crate::base::Pod) {}"), [""; 0]);
        assert_eq!(wrong("sidecarset/metadata/json.rs", "use super::super::api;"), [""; 0]);
        assert_eq!(wrong("main.rs", "use outrigger::{app, args::Arguments};"), [""; 0]);
        assert_eq!(wrong("handlers/pod.rs", "use std::sync::Arc; use serde::Serialize;"), [""; 0]);
    }

    #[test]
    fn an_import_to_the_left_is_caught_however_it_is_written() {
        let found = ["line 1: `base` may not name `state::State`"];
        assert_eq!(wrong("base/pod.rs", "use crate::state::State;"), found);
        assert_eq!(
            wrong("base/pod.rs", "use crate::{names, base::hash, state::{State}};"),
            ["line 1: `base` may not name `names`", found[0]]
        );
        assert_eq!(wrong("base/mod.rs", "use super::state::State;"), found);
        assert_eq!(wrong("base/pod.rs", "use super::super::state::State;"), found);
        assert_eq!(wrong("base/pod.rs", "use super::{hash, super::state::State};"), found);
        assert_eq!(wrong("base/pod.rs", "fn f(x: &crate::state::State) {}"), found);
        assert_eq!(wrong("base/pod.rs", "/* */ // x\nuse crate::*;"), ["line 2: `base` may not name `*`"]);
        assert_eq!(wrong("manifests.rs", "use crate::offline::yaml;"), ["line 1: `manifests` may not name `offline::yaml`"]);
        assert_eq!(
            wrong("cluster/watch.rs", "use crate::server::admin::{Readiness, router};"),
            ["line 1: `cluster` may not name `server::admin::router`"]
        );
        assert_eq!(wrong("attic/x.rs", ""), ["the room `attic` is not in the table"]);
    }

    #[test]
    fn what_a_pure_room_may_not_do_is_caught() {
        let of = |text: &str| impurities(Path::new("state/mod.rs"), &Source::read(text));
        for bad in [
            "use tokio::sync::Mutex;",
            "async fn f() {}",
            "use std::{collections::BTreeMap, env};",
            "fn f() { std::fs::read(x); }",
            "fn f() { jiff::Timestamp::now(); }",
            "fn f() -> Timestamp { Timestamp::now() }",
            "use kube::{Client, CustomResource};",
            "fn f() { tracing::info!(\"x\"); }",
            "use std::time::Instant;",
            "use rand::Rng;",
            "fn f() { println!(\"x\"); }",
        ] {
            assert_eq!(of(bad).len(), 1, "{bad}: {:?}", of(bad));
        }
        assert_eq!(of("use kube::{CustomResource, CustomResourceExt}; /// async now\nfn now() {} const X: &str = \"tokio::\";"), [""; 0]);
        assert_eq!(of("fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; async fn g() {} }"), [""; 0]);
        assert_eq!(impurities(Path::new("server/tls.rs"), &Source::read("use tokio::net;")), [""; 0]);
    }

    #[test]
    fn a_patch_that_is_written_elsewhere_is_caught() {
        let of = |text: &str| writes_patches(&Source::read(text));
        for bad in [
            "fn f() { push(r#\"{\"op\":\"add\"\"#) }",
            r#"fn f() { push("{\"op\": \"add\"") }"#,
            r#"fn f() { json!({"op": "add"}) }"#,
            "use json_patch::{Patch, PatchOperation};",
            "fn f() { json_patch::diff(a, b) }",
        ] {
            assert!(of(bad), "{bad}");
        }
        assert!(!of("fn f() { json_patch::patch(a, b); \"operator\"; } // \"op\""));
    }
}
