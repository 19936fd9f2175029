//! What is measured: which body is sent to which server, and how its answer must look.

#![expect(clippy::indexing_slicing, reason = "a text as an index gives null where there is nothing")]

use anyhow::{Context, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::body::Bytes;
use serde_json::Value;

use crate::fixtures::{review, sets};

/// How many other sets there are where there are many.
pub(crate) const OTHERS: usize = 1_000;

/// A server that is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Answers each body with itself.
    Echo,
    /// Knows a handful of sets.
    Few,
    /// Knows [`OTHERS`] more.
    Many,
}

/// One line of the report.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) server: Which,
    /// The application that the pod is of.
    app: &'static str,
    /// The CPU time that it may take, as a multiple of the echo server's.
    pub(crate) goal: Option<f64>,
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "floor: echo", server: Which::Echo, app: sets::APP, goal: None },
    Scenario { name: "skip", server: Which::Few, app: sets::OTHER_APP, goal: Some(3.0) },
    Scenario { name: "skip, 1,000 other sets", server: Which::Many, app: sets::OTHER_APP, goal: Some(3.0) },
    Scenario { name: "inject 2 sets", server: Which::Few, app: sets::APP, goal: Some(6.0) },
    Scenario { name: "inject 2 sets, 1,000 other sets", server: Which::Many, app: sets::APP, goal: Some(6.0) },
];

impl Scenario {
    /// Whether it is to be measured where only names that hold this text are.
    pub(crate) fn is_among(&self, only: &str) -> bool {
        self.server == Which::Echo || self.name.contains(only)
    }

    pub(crate) fn body(&self) -> Bytes {
        review::of_app(self.app).into()
    }

    /// Whether the answer is what it has to be.
    pub(crate) fn check(&self, body: &[u8], answer: &[u8]) -> anyhow::Result<()> {
        if self.server == Which::Echo {
            ensure!(body == answer, "the echo differs");
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(answer)?;
        let response = &answer["response"];
        ensure!(response["uid"] == review::UID && response["allowed"] == true, "not allowed: {answer}");
        if self.app == sets::APP {
            return check_patch(&response["patch"]);
        }
        ensure!(response["patch"].is_null(), "patched: {answer}");
        Ok(())
    }
}

/// Three sidecars, each one put into the list by an operation of its own.
fn check_patch(patch: &Value) -> anyhow::Result<()> {
    let patch = STANDARD.decode(patch.as_str().context("no patch")?)?;
    let operations: Vec<Value> = serde_json::from_slice(&patch)?;
    let containers =
        operations.iter().filter(|operation| operation["path"].as_str().is_some_and(|path| path.starts_with("/spec/containers/")));
    ensure!(containers.count() == 3, "other containers than those of two sets: {operations:?}");
    Ok(())
}
