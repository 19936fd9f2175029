//! `resourcesPolicy`: the resources of a sidecar, computed from those of the containers that it serves.
//!
//! Limits are computed from limits and requests from requests, whatever the field comments of the reference say. A limit that one target
//! lacks is no limit, and then none is set, not even a constant one.

use regex::bytes::Regex;
use serde_json::{Map, Value as Json};

use super::{
    api::{ResourceExpressions, ResourcesPolicy},
    expression::{self, ExpressionError, Value},
};
use crate::base::{
    go_regex,
    quantity::{Format, Quantity},
};

/// What one target container asks for.
#[derive(Clone, Debug, Default)]
pub struct TargetResources {
    /// `limits.cpu`, if there is one.
    pub limits_cpu: Option<Quantity>,
    /// `limits.memory`, if there is one.
    pub limits_memory: Option<Quantity>,
    /// `requests.cpu`, if there is one.
    pub requests_cpu: Option<Quantity>,
    /// `requests.memory`, if there is one.
    pub requests_memory: Option<Quantity>,
}

/// Why a sidecar gets no resources, for which its pod is refused. The words begin as the reference's do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResourcesError {
    /// The regular expression for names does not compile.
    #[error("failed to get target containers: invalid regex pattern {pattern:?}: {reason}")]
    Pattern {
        /// As it stands in the policy.
        pattern: String,
        /// What the compiler says.
        reason: String,
    },
    /// There is nothing to compute from.
    #[error("no containers match the regex pattern {0:?}")]
    NoTargets(String),
    /// An expression has no value for these targets.
    #[error("failed to evaluate {subject} expression: failed to parse expression {expression:?}: {source}")]
    Expression {
        /// Which expression: `CPU limits` and so on.
        subject: &'static str,
        /// Its text.
        expression: String,
        /// What is wrong with it.
        source: ExpressionError,
    },
}

/// A resources policy made ready for many pods.
#[derive(Clone, Debug)]
pub struct ResourcesRule {
    mode: Mode,
    pattern: String,
    /// An error here concerns pods alone: whoever stored such a set can still change it.
    names: Result<Regex, String>,
    limits: [Option<Expression>; 2],
    requests: [Option<Expression>; 2],
}

impl ResourcesRule {
    /// Makes a policy ready. What is wrong with it comes to light when a pod needs it.
    pub fn compile(policy: &ResourcesPolicy) -> Self {
        let pattern = policy.target_containers_name_regex.clone().unwrap_or_default();
        Self {
            mode: Mode::named(&policy.target_containers_mode),
            names: go_regex::compile(&pattern),
            pattern,
            limits: Expression::both(policy.resources_expr.limits.as_ref(), ["CPU limits", "memory limits"]),
            requests: Expression::both(policy.resources_expr.requests.as_ref(), ["CPU requests", "memory requests"]),
        }
    }

    /// Whether the containers of this name are targets, as far as the name decides.
    pub fn is_target(&self, container_name: &str) -> Result<bool, ResourcesError> {
        Ok(self.names()?.is_match(container_name.as_bytes()))
    }

    /// The sidecar's `resources` for these targets: an object with `limits` and `requests`, each of them only if there is any.
    pub fn resources(&self, targets: &[TargetResources]) -> Result<Json, ResourcesError> {
        self.names()?;
        if targets.is_empty() {
            return Err(ResourcesError::NoTargets(self.pattern.clone()));
        }
        let limits = [
            self.mode.limit(targets.iter().map(|target| target.limits_cpu.as_ref())),
            self.mode.limit(targets.iter().map(|target| target.limits_memory.as_ref())),
        ];
        let requests = [
            Some(self.mode.request(targets.iter().filter_map(|target| target.requests_cpu.as_ref()))),
            Some(self.mode.request(targets.iter().filter_map(|target| target.requests_memory.as_ref()))),
        ];
        let mut resources = Map::new();
        for (kind, expressions, aggregates) in [("limits", &self.limits, limits), ("requests", &self.requests, requests)] {
            let quantities = quantities(expressions, aggregates)?;
            if !quantities.is_empty() {
                resources.insert(kind.to_owned(), Json::Object(quantities));
            }
        }
        Ok(Json::Object(resources))
    }

    fn names(&self) -> Result<&Regex, ResourcesError> {
        self.names.as_ref().map_err(|reason| ResourcesError::Pattern { pattern: self.pattern.clone(), reason: reason.clone() })
    }
}

/// Evaluates the expressions for cpu and memory that exist, over the aggregates that exist.
fn quantities(expressions: &[Option<Expression>; 2], aggregates: [Option<Quantity>; 2]) -> Result<Map<String, Json>, ResourcesError> {
    let mut quantities = Map::new();
    for ((resource, expression), aggregate) in ["cpu", "memory"].into_iter().zip(expressions).zip(aggregates) {
        if let (Some(expression), Some(aggregate)) = (expression, aggregate) {
            quantities.insert(resource.to_owned(), Json::String(expression.evaluate(aggregate)?.to_string()));
        }
    }
    Ok(quantities)
}

/// How the resources of several targets become one.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Sum,
    Max,
    /// Any other word, which only a cluster without the schema lets through: no limits, and requests of zero.
    Unknown,
}

impl Mode {
    fn named(name: &str) -> Self {
        match name {
            "sum" => Self::Sum,
            "max" => Self::Max,
            _ => Self::Unknown,
        }
    }

    /// The limit of all targets together, unless one of them has none.
    fn limit<'a>(self, limits: impl Iterator<Item = Option<&'a Quantity>>) -> Option<Quantity> {
        let limits: Vec<&Quantity> = limits.collect::<Option<_>>()?;
        self.aggregate(limits.into_iter())
    }

    /// The request of all targets together, of which some may have none.
    fn request<'a>(self, requests: impl Iterator<Item = &'a Quantity>) -> Quantity {
        self.aggregate(requests).filter(|request| !request.is_zero()).unwrap_or(Quantity::ZERO)
    }

    fn aggregate<'a>(self, quantities: impl Iterator<Item = &'a Quantity>) -> Option<Quantity> {
        match self {
            Self::Sum => Some(quantities.fold(Quantity::ZERO, |sum, quantity| sum.add(quantity))),
            // The first of equals stays, and stays as it is written.
            Self::Max => quantities.reduce(|greatest, quantity| if quantity > greatest { quantity } else { greatest }).cloned(),
            Self::Unknown => None,
        }
    }
}

/// An expression of a policy, not empty.
#[derive(Clone, Debug)]
struct Expression {
    /// What it is called in errors.
    subject: &'static str,
    text: String,
    /// The one name that is bound in it.
    variable: &'static str,
}

impl Expression {
    /// Those for cpu and memory.
    fn both(expressions: Option<&ResourceExpressions>, [cpu, memory]: [&'static str; 2]) -> [Option<Self>; 2] {
        let new = |text: &Option<String>, subject| {
            let text = text.clone().filter(|text| !text.is_empty())?;
            let variable = if speaks_of_memory(&text) { "memory" } else { "cpu" };
            Some(Self { subject, text, variable })
        };
        expressions.map_or([None, None], |expressions| [new(&expressions.cpu, cpu), new(&expressions.memory, memory)])
    }

    fn evaluate(&self, aggregate: Quantity) -> Result<Quantity, ResourcesError> {
        match expression::evaluate(&self.text, self.variable, &Value::Quantity(aggregate)) {
            Ok(Value::Quantity(quantity)) => Ok(quantity),
            Ok(Value::Number(number)) if self.variable == "memory" => {
                Ok(Quantity::from_units(expression::whole(number), Format::DecimalSI))
            }
            Ok(Value::Number(number)) => Ok(Quantity::from_milli(expression::whole(number * 1000.0), Format::DecimalSI)),
            Err(source) => Err(ResourcesError::Expression { subject: self.subject, expression: self.text.clone(), source }),
        }
    }
}

/// Whether the lower-case word stands in the expression. It alone, not the resource that the expression is for, decides on the variable.
fn speaks_of_memory(expression: &str) -> bool {
    let is_of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    expression.match_indices("memory").any(|(start, word)| {
        let bytes = expression.as_bytes();
        let before = start.checked_sub(1).and_then(|place| bytes.get(place));
        !is_of_word(before) && !is_of_word(bytes.get(start.saturating_add(word.len())))
    })
}

#[cfg(test)]
mod tests;
