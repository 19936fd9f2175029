//! What the API server checks by itself, in CEL, also while no webhook answers: rules that no admitted set breaks, of constant
//! cost. Rules about items of lists are left to the webhook, for without a bound on the lists their cost has none either, and a
//! bound might refuse a set that is stored.
//!
//! Each rule sits at the member that it is about, so that a stored object that breaks it can still be updated elsewhere.

use crate::base::definition::Rule;

pub(super) const RULES: [Rule; 6] = [
    (
        "",
        "size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",
        "metadata.name: must be at most 63 characters, without dots",
    ),
    ("spec", "has(self.selector)", "spec.selector: is required"),
    (
        "spec",
        "(has(self.containers) && size(self.containers) > 0) || (has(self.initContainers) && size(self.initContainers) > 0)",
        "spec: at least one container or init container is required",
    ),
    (
        "spec.selector",
        "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "spec.selector: must select something: an empty selector would select every pod",
    ),
    (
        "spec.updateStrategy",
        "!has(self.selector) || !has(self.partition) || self.partition == 0 || (has(self.type) && !(self.type in ['', 'RollingUpdate']))",
        "spec.updateStrategy: partition and selector exclude each other",
    ),
    (
        "spec.updateStrategy",
        "!has(self.priorityStrategy) || !has(self.priorityStrategy.orderPriority) || size(self.priorityStrategy.orderPriority) == 0 || !has(self.priorityStrategy.weightPriority) || size(self.priorityStrategy.weightPriority) == 0 || (has(self.type) && !(self.type in ['', 'RollingUpdate']))",
        "spec.updateStrategy.priorityStrategy: orderPriority and weightPriority exclude each other",
    ),
];
