use std::collections::BTreeSet;

use super::{super::api::SidecarSet, Link, Step};

/// How many revisions are kept where the set does not say.
const USUAL: usize = 10;

/// Which revisions go so that no more are left than the set wants, oldest first: never the latest, none that is in use, none that new
/// pods are to get. Of too many that must stay, a text tells. `history` is in the order of age, the latest last.
pub(super) fn prune(set: &SidecarSet, history: &[Link<'_>], in_use: &BTreeSet<&str>) -> (Vec<Step>, Option<String>) {
    let limit = set.spec.revision_history_limit.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or_default().max(1));
    let surplus = history.len().saturating_sub(limit);
    let injected = injected(set, history);
    let older = history.split_last().map(|(_, older)| older).unwrap_or_default();
    let free = older.iter().filter_map(|link| link.revision).filter(|revision| {
        let name = revision.name.as_str();
        !in_use.contains(name) && !injected.contains(&Some(name))
    });
    let steps: Vec<_> = free
        .take(surplus)
        .map(|revision| Step::Delete {
            name: revision.name.clone(),
            uid: revision.uid.clone(),
            resource_version: revision.resource_version.clone(),
        })
        .collect();
    let left = limit + surplus - steps.len();
    let overflow = (surplus > steps.len()).then(|| {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        format!("failed to limit the number of stored revisions, limited: {limit}, actual: {left}, name: {name}")
    });
    (steps, overflow)
}

/// The names of the revisions that the set's injection strategy asks for.
fn injected<'n>(set: &'n SidecarSet, history: &'n [Link<'_>]) -> [Option<&'n str>; 2] {
    let Some(asked) = &set.spec.injection_strategy.revision else { return [None, None] };
    let newest = |version: &str| history.iter().rfind(|link| link.custom_version == Some(version)).map(|link| &*link.name);
    [asked.revision_name.as_deref(), asked.custom_version.as_deref().and_then(newest)]
}
