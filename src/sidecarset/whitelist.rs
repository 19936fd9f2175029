//! Which annotations sets may put on pods: the whitelist that the owner of the cluster keeps in a `ConfigMap`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use regex::bytes::Regex;
use serde::Deserialize;

use crate::base::{
    decode::or_default,
    go_regex,
    selector::{Labels, Selector},
};

/// Name of the `ConfigMap`, in our own namespace.
pub const CONFIGURATION: &str = "kruise-configuration";
/// Its member.
pub const MEMBER: &str = "SidecarSet_PatchPodMetadata_WhiteList";

/// The whitelist as it stands.
#[derive(Clone, Debug, Default)]
pub enum Whitelist {
    /// There is none.
    #[default]
    Absent,
    /// It cannot be read; says why.
    Broken(String),
    /// Read.
    Rules(Vec<Rule>),
}

/// Annotations that some sets may patch.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which sets, by their labels.
    sets: Result<Selector, String>,
    /// Patterns to be found in the annotation's key; `Err` says what is wrong with one.
    keys: Vec<Result<Regex, String>>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default, deserialize_with = "or_default")]
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleText {
    #[serde(default)]
    selector: Option<LabelSelector>,
    #[serde(default, deserialize_with = "or_default")]
    allowed_annotation_key_exprs: Vec<String>,
}

impl Whitelist {
    /// Reads it from the `ConfigMap`'s `data`.
    pub fn of(data: &BTreeMap<String, String>) -> Self {
        let Some(text) = data.get(MEMBER) else { return Self::Absent };
        match serde_json::from_str::<Text>(text) {
            Ok(text) => Self::Rules(text.rules.into_iter().map(Rule::of).collect()),
            Err(error) => Self::Broken(format!("{CONFIGURATION}: {MEMBER}: {error}")),
        }
    }

    /// Whether there is none at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The patterns for a set with these labels, of which every annotation key must contain one. `None`: nothing is said of such
    /// sets. An error says what part of the whitelist cannot be used.
    pub fn patterns(&self, labels: &impl Labels) -> Result<Option<Vec<&Regex>>, String> {
        let rules = match self {
            Self::Absent => return Ok(None),
            Self::Broken(problem) => return Err(problem.clone()),
            Self::Rules(rules) => rules,
        };
        let mut patterns = Vec::new();
        for rule in rules {
            if rule.sets.as_ref().map_err(Clone::clone)?.matches(labels) {
                for key in &rule.keys {
                    patterns.push(key.as_ref().map_err(Clone::clone)?);
                }
            }
        }
        Ok(Some(patterns).filter(|patterns| !patterns.is_empty()))
    }
}

impl Rule {
    fn of(text: RuleText) -> Self {
        let sets = Selector::compile(&text.selector.unwrap_or_default()).map_err(|error| error.to_string());
        let keys = text.allowed_annotation_key_exprs.iter().map(|pattern| go_regex::compile(pattern)).collect();
        Self { sets, keys }
    }
}
