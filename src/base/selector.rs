//! Label selectors, compiled once and matched often. (Kubernetes: `apimachinery/pkg/apis/meta/v1/helpers.go`,
//! `LabelSelectorAsSelector`.)

pub mod parse;

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Something with labels, or with any other texts by key.
pub trait Labels {
    /// The value of `key`, if there is one.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// A label selector: all of its requirements have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

/// What one label has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label is there, with one of these values.
    In(String, Vec<String>),
    /// The label is absent or has none of these values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
}

/// Why a selector cannot be compiled.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectorError {
    /// Not one of the four operators.
    #[error("matchExpressions[{index}].operator: expected In, NotIn, Exists or DoesNotExist, found `{operator}`")]
    Operator {
        /// Index of the expression.
        index: usize,
        /// What stands there.
        operator: String,
    },
    /// `In` and `NotIn` need values, the other two must not have any.
    #[error("matchExpressions[{index}].values: {operator} {}", if *.wanted { "needs at least one value" } else { "takes no values" })]
    Values {
        /// Index of the expression.
        index: usize,
        /// Its operator.
        operator: String,
        /// Whether the operator needs values.
        wanted: bool,
    },
}

impl Selector {
    /// Compiles a selector as the API server stores it.
    pub fn compile(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let labels = selector.match_labels.iter().flatten();
        let mut requirements: Vec<_> = labels.map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()])).collect();
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            requirements.push(Requirement::compile(index, expression)?);
        }
        Ok(Self(requirements))
    }

    /// The label has to be there, with one of these values.
    pub fn one_of(key: &str, values: Vec<String>) -> Self {
        Self(vec![Requirement::In(key.to_owned(), values)])
    }

    /// Whether there is nothing to hold. What that means (all or nothing) differs between fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all requirements hold. True for an empty selector.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }

    /// The first requirement that does not hold.
    pub fn unmet(&self, labels: &impl Labels) -> Option<&Requirement> {
        self.0.iter().find(|requirement| !requirement.holds(labels))
    }

    /// All that has to hold.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// The labels that a match must have, each with the values that it may have: what an index can be built on.
    pub fn required(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().filter_map(|requirement| match requirement {
            Requirement::In(key, values) => Some((key.as_str(), values.as_slice())),
            _ => None,
        })
    }
}

impl Requirement {
    fn compile(index: usize, expression: &LabelSelectorRequirement) -> Result<Self, SelectorError> {
        let key = expression.key.clone();
        let values = expression.values.clone().unwrap_or_default();
        let wrong = |wanted| SelectorError::Values { index, operator: expression.operator.clone(), wanted };
        match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => Ok(Self::In(key, values)),
            ("NotIn", false) => Ok(Self::NotIn(key, values)),
            ("Exists", true) => Ok(Self::Exists(key)),
            ("DoesNotExist", true) => Ok(Self::DoesNotExist(key)),
            ("In" | "NotIn", true) => Err(wrong(true)),
            ("Exists" | "DoesNotExist", false) => Err(wrong(false)),
            (operator, _) => Err(SelectorError::Operator { index, operator: operator.to_owned() }),
        }
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Exists(key) | Self::DoesNotExist(key) => key,
        }
    }

    fn holds(&self, labels: &impl Labels) -> bool {
        let among = |values: &[String], value: &str| values.iter().any(|v| v == value);
        match (self, labels.label(self.key())) {
            (Self::In(_, values), Some(value)) => among(values, value),
            (Self::NotIn(_, values), Some(value)) => !among(values, value),
            (Self::NotIn(..) | Self::DoesNotExist(_), None) | (Self::Exists(_), Some(_)) => true,
            (Self::In(..) | Self::Exists(_), None) | (Self::DoesNotExist(_), Some(_)) => false,
        }
    }
}

/// `tier=web`, `tier in (web, db)`, `tier notin (web)`, `tier`, `!tier`: the way kubectl writes them.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values.join("")),
            Self::In(key, values) => write!(f, "{key} in ({})", values.join(", ")),
            Self::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(", ")),
            Self::Exists(key) => write!(f, "{key}"),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: serde_json::Value) -> Result<Selector, SelectorError> {
        Selector::compile(&serde_json::from_value(json).unwrap())
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn each_operator_holds_when_kubernetes_says_so() {
        let one = |operator: &str, values: &[&str]| {
            selector(serde_json::json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]})).unwrap()
        };
        for (selector, with_web, with_db, without) in [
            (one("In", &["web", "edge"]), true, false, false),
            (one("NotIn", &["web", "edge"]), false, true, true),
            (one("Exists", &[]), true, true, false),
            (one("DoesNotExist", &[]), false, false, true),
        ] {
            assert_eq!(selector.matches(&labels(&[("tier", "web")])), with_web, "{selector:?}");
            assert_eq!(selector.matches(&labels(&[("tier", "db")])), with_db, "{selector:?}");
            assert_eq!(selector.matches(&labels(&[("app", "web")])), without, "{selector:?}");
        }
    }

    #[test]
    fn all_requirements_are_joined_by_and() {
        let s =
            selector(serde_json::json!({"matchLabels": {"a": "1", "b": "2"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}))
                .unwrap();
        assert!(s.matches(&labels(&[("a", "1"), ("b", "2"), ("c", "")])));
        let unmet = labels(&[("a", "1"), ("b", "3"), ("c", "")]);
        assert!(!s.matches(&unmet));
        assert_eq!(s.unmet(&unmet).unwrap().to_string(), "b=2");
    }

    #[test]
    fn a_selector_that_makes_no_sense_says_where() {
        let error = selector(serde_json::json!({"matchExpressions": [{"key": "c", "operator": "Like", "values": ["x"]}]})).unwrap_err();
        assert_eq!(error.to_string(), "matchExpressions[0].operator: expected In, NotIn, Exists or DoesNotExist, found `Like`");
        let error = selector(serde_json::json!({"matchExpressions": [{"key": "c", "operator": "In"}]})).unwrap_err();
        assert_eq!(error.to_string(), "matchExpressions[0].values: In needs at least one value");
        let error = selector(serde_json::json!({"matchExpressions": [{"key": "c", "operator": "Exists", "values": ["x"]}]})).unwrap_err();
        assert_eq!(error.to_string(), "matchExpressions[0].values: Exists takes no values");
    }
}
