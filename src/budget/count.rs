//! Which pods a budget counts, and how many there should be. (reference: `pub.md` §5.4)

use std::{collections::BTreeMap, sync::Arc};

use super::{
    api::TargetReference,
    picture::{Ancestor, Family, Picture, Scale, Standing},
    subject::Subject,
};
use crate::base::workload::{Owner, Workload};

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count<'p> {
    /// The pods that count: those that are active.
    pub pods: Vec<&'p Arc<Subject>>,
    /// How many there should be.
    pub total: i32,
    /// The target is gone or should have no pods, and the author does not say otherwise: none is needed.
    pub is_idle: bool,
    /// Some of the pods belong to workloads that are gone.
    pub has_orphans: bool,
    /// Pods that count themselves, because nobody can say how many of them there should be.
    pub unlearnt: Option<Unlearnt<'p>>,
    /// Whose scale has yet to be asked for.
    pub pending: Vec<&'p Owner>,
    /// The count depends on scales that are not mirrored.
    pub is_asked: bool,
}

/// A workload of which nobody can say how many pods it should have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unlearnt<'p> {
    /// The workload.
    pub owner: &'p Owner,
    /// Why.
    pub scale: &'p Scale,
    /// It is the target.
    pub is_target: bool,
}

/// Counts.
pub fn count(picture: &Picture) -> Count<'_> {
    match (&picture.target, &picture.budget.rules.target) {
        (Some(target), Some(reference)) => of_target(picture, target, reference),
        _ => of_selector(picture),
    }
}

fn of_target<'p>(picture: &'p Picture, target: &'p Ancestor, reference: &TargetReference) -> Count<'p> {
    let standing = picture.standing(target);
    let stated = picture.budget.rules.total;
    let is_wanted = match standing {
        Standing::Lives(workload) => workload.wanted() > 0,
        Standing::Gone => false,
        Standing::Unlearnt(_) | Standing::Pending => true,
    };
    let is_asked = target.workload.is_none() && !target.is_mirrored;
    if !is_wanted && stated.is_none() {
        return Count { is_idle: true, is_asked, ..Count::default() };
    }
    let pods = pods_of_target(picture, standing, target, reference);
    // Until it can be learnt how many there should be, there should be as many as there are, and not less than before.
    let before = picture.budget.status.total_replicas.max(length(pods.len()));
    let (total, unlearnt) = match standing {
        Standing::Lives(workload) => (workload.wanted(), None),
        Standing::Gone => (0, None),
        Standing::Unlearnt(scale @ Scale::Unanswered(_)) => (before, Some(scale)),
        Standing::Unlearnt(scale) => (length(pods.len()), Some(scale)),
        Standing::Pending => (before, None),
    };
    Count {
        pods,
        total: stated.unwrap_or(total),
        unlearnt: unlearnt.map(|scale| Unlearnt { owner: &target.owner, scale, is_target: true }),
        pending: if standing == Standing::Pending { vec![&target.owner] } else { Vec::new() },
        is_asked,
        ..Count::default()
    }
}

/// The pods that belong to the target. Of a kind that is not mirrored: if none does as far as can be seen, those that its scale selects;
/// if there is no scale either, those that are linked to the budget besides.
fn pods_of_target<'p>(
    picture: &'p Picture,
    standing: Standing<'p>,
    target: &Ancestor,
    reference: &TargetReference,
) -> Vec<&'p Arc<Subject>> {
    let live = if let Standing::Lives(workload) = standing { Some(&workload.identity) } else { None };
    let is_below = |family: &Family| {
        let mut owners = family.ancestors.iter().map(|ancestor| &ancestor.owner);
        owners.any(|owner| reference.is(owner) && live.is_none_or(|live| live.is_same(owner)))
    };
    let is_linked = |pod: &Subject| pod.link.as_ref() == Some(&picture.budget.name);
    let which = |select: &dyn Fn(&Family, &Subject) -> bool| -> Vec<&'p Arc<Subject>> {
        let all = picture.families.iter().flat_map(|family| family.pods.iter().map(move |pod| (family, pod)));
        all.filter(|(family, pod)| pod.is_active && select(family, pod)).map(|(_, pod)| pod).collect()
    };
    if matches!(standing, Standing::Unlearnt(_) | Standing::Pending) {
        return which(&|family, pod| is_below(family) || is_linked(pod));
    }
    let below = which(&|family, _| is_below(family));
    let is_custom = !target.is_mirrored;
    match standing {
        Standing::Lives(Workload { selector: Some(selector), .. }) if is_custom && below.is_empty() => {
            which(&|_, pod| selector.matches(&pod.labels))
        }
        _ => below,
    }
}

/// Whose number of pods counts.
enum Source<'p> {
    Workload(&'p Workload),
    Gone,
    Unlearnt(&'p Owner, &'p Scale),
    Pending(&'p Owner),
    Nobody,
}

fn of_selector(picture: &Picture) -> Count<'_> {
    let pods: Vec<_> = picture.families.iter().flat_map(|family| &family.pods).filter(|pod| pod.is_active).collect();
    if let Some(total) = picture.budget.rules.total {
        return Count { pods, total, ..Count::default() };
    }
    let mut count = Count { pods, ..Count::default() };
    let (mut wanted, mut themselves) = (BTreeMap::new(), 0);
    let families = picture.families.iter().map(|family| (&family.ancestors, family.pods.iter().filter(|pod| pod.is_active).count()));
    // Those that have no pod now count as well: it is about how many there should be.
    let all = families.filter(|(_, active)| *active > 0).chain(picture.templates.iter().map(|chain| (chain, 0)));
    for (chain, active) in all {
        count.is_asked |= chain.iter().any(|ancestor| ancestor.workload.is_none() && !ancestor.is_mirrored);
        match source(picture, chain) {
            Source::Workload(workload) => drop(wanted.insert(workload.identity.coordinates(), workload.wanted())),
            Source::Gone => count.has_orphans |= active > 0,
            Source::Nobody => themselves += active,
            Source::Unlearnt(owner, scale) => {
                themselves += active;
                count.unlearnt.get_or_insert(Unlearnt { owner, scale, is_target: false });
            }
            Source::Pending(owner) => {
                themselves += active;
                count.pending.push(owner);
            }
        }
    }
    let learnt = wanted.into_values().fold(length(themselves), i32::saturating_add);
    let is_open = !count.pending.is_empty() || matches!(count.unlearnt, Some(Unlearnt { scale: Scale::Unanswered(_), .. }));
    count.total = if is_open { learnt.max(picture.budget.status.total_replicas) } else { learnt };
    count
}

/// Whose number of pods counts for those whose controller is the first of these.
fn source<'p>(picture: &'p Picture, chain: &'p [Ancestor]) -> Source<'p> {
    let Some(first) = chain.first() else { return Source::Nobody };
    // A ReplicaSet is one of several of what owns it.
    if let Some(above) = chain.get(1).filter(|_| first.owner.is("apps", "ReplicaSet")) {
        match picture.standing(above) {
            Standing::Lives(workload) => return Source::Workload(workload),
            Standing::Gone => return Source::Gone,
            Standing::Pending => return Source::Pending(&above.owner),
            Standing::Unlearnt(_) => {}
        }
    }
    match picture.standing(first) {
        Standing::Lives(workload) => Source::Workload(workload),
        Standing::Gone => Source::Gone,
        Standing::Pending => Source::Pending(&first.owner),
        Standing::Unlearnt(scale) => Source::Unlearnt(&first.owner, scale),
    }
}

fn length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
