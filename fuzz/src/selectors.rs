//! Selectors: as a text, and as an object held against labels in the way that the documentation of Kubernetes says it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use outrigger::base::selector::Selector;

use super::choices::Choices;

/// Takes choices of a selector and of labels; then a selector as a text.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (keys, values) = (["a", "b", "c"], ["x", "y", ""]);
    let labels: BTreeMap<String, String> =
        choices.some(&keys).into_iter().map(|key| (key.to_owned(), choices.pick(&values).to_owned())).collect();
    let expression = |choices: &mut Choices<'_>| LabelSelectorRequirement {
        key: choices.pick(&keys).to_owned(),
        operator: choices.pick(&["In", "NotIn", "Exists", "DoesNotExist", "in", ""]).to_owned(),
        values: choices.yes().then(|| choices.some(&values).into_iter().map(str::to_owned).collect()),
    };
    let selector = LabelSelector {
        match_labels: choices.yes().then(|| {
            choices.several(2, |choices| (choices.pick(&keys).to_owned(), choices.pick(&values).to_owned())).into_iter().collect()
        }),
        match_expressions: choices.yes().then(|| choices.several(3, expression)),
    };
    match (Selector::compile(&selector), expected(&selector, &labels)) {
        (Ok(compiled), Some(wanted)) => {
            assert_eq!(compiled.matches(&labels), wanted, "{selector:?} {labels:?}");
            assert_eq!(compiled.unmet(&labels).is_none(), wanted);
            written_is_read(&compiled);
        }
        (Err(_), None) => {}
        (compiled, wanted) => panic!("{selector:?}: {compiled:?}, {wanted:?}"),
    }
    if let Ok(parsed) = Selector::parse(&choices.rest()) {
        parsed.matches(&labels);
        written_is_read(&parsed);
    }
}

/// What kubectl writes of a selector means the same to it.
fn written_is_read(selector: &Selector) {
    let written: Vec<_> = selector.requirements().iter().map(ToString::to_string).collect();
    let again = Selector::parse(&written.join(",")).unwrap_or_else(|error| panic!("{written:?}: {error}"));
    assert_eq!(again.requirements().len(), selector.requirements().len(), "{written:?}");
}

/// Whether it matches; `None` if it is no selector.
fn expected(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Option<bool> {
    let mut all = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default();
        let label = labels.get(&expression.key);
        all &= match (expression.operator.as_str(), values.is_empty()) {
            ("In", false) => label.is_some_and(|label| values.contains(label)),
            ("NotIn", false) => label.is_none_or(|label| !values.contains(label)),
            ("Exists", true) => label.is_some(),
            ("DoesNotExist", true) => label.is_none(),
            _ => return None,
        };
    }
    Some(all)
}
