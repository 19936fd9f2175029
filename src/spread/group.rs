//! Which pod is in which subset. (reference: `workloadspread.md` §8.3)

use std::{collections::BTreeMap, sync::Arc};

use super::{
    index::{Spread, limit},
    picture::{Fit, Picture},
    pod::{Pod, revision},
};

/// Pods of one revision by subset, in the order of the spec.
pub type Subsets<'p> = Vec<Vec<&'p Arc<Pod>>>;

/// The pods of a spread.
#[derive(Debug, Default)]
pub struct Groups<'p> {
    /// By revision.
    pub revisions: BTreeMap<&'p str, Subsets<'p>>,
    /// Those that are in no subset.
    pub astray: Vec<&'p Arc<Pod>>,
    /// Those that nobody placed and that fit into a subset as they are: its index.
    pub adopted: Vec<(&'p Arc<Pod>, usize)>,
}

/// What a pod says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is in this subset.
    In(usize),
    /// It was placed in a subset that is not there any more.
    Gone,
    /// It was not placed by this spread.
    Nothing,
}

/// What a pod says of its place in this spread.
pub fn said(spread: &Spread, pod: &Pod) -> Said {
    let mark = pod.mark.as_ref().filter(|mark| mark.spread == spread.name && !mark.subset.is_empty());
    let Some(mark) = mark else { return Said::Nothing };
    let index = spread.rules.subsets.iter().position(|subset| subset.name == *mark.subset);
    index.map_or(Said::Gone, Said::In)
}

/// Whether a pod runs without having been placed.
pub fn is_stranger(spread: &Spread, pod: &Pod) -> bool {
    pod.is_active() && pod.node.is_some() && said(spread, pod) == Said::Nothing
}

/// The revision of a pod.
pub fn revision_of(pod: &Pod) -> &str {
    revision(&pod.labels, pod.controller.as_deref())
}

/// Sorts the pods of a spread.
pub fn group(picture: &Picture) -> Groups<'_> {
    let (spread, mut groups) = (&*picture.spread, Groups::default());
    let empty = || vec![Vec::new(); spread.rules.subsets.len()];
    let mut strangers = Vec::new();
    for pod in &picture.pods {
        let subsets = groups.revisions.entry(revision_of(pod)).or_insert_with(empty);
        match said(spread, pod) {
            Said::In(index) => subsets.get_mut(index).into_iter().for_each(|subset| subset.push(pod)),
            Said::Gone => groups.astray.push(pod),
            Said::Nothing => strangers.push(pod),
        }
    }
    for pod in strangers {
        let subsets = groups.revisions.entry(revision_of(pod)).or_insert_with(empty);
        let home = picture.fits.get(&pod.uid).and_then(|fits| best(picture, fits, subsets));
        match home.and_then(|index| Some((index, subsets.get_mut(index)?))) {
            Some((index, subset)) => {
                subset.push(pod);
                groups.adopted.push((pod, index));
            }
            None => groups.astray.push(pod),
        }
    }
    groups
}

/// The subset that a pod fits in best: room counts a little, of equals the first one is taken.
fn best(picture: &Picture, fits: &[Fit], subsets: &Subsets<'_>) -> Option<usize> {
    let has_room = |index: usize| {
        let most = picture.spread.rules.subsets.get(index).and_then(|subset| limit(subset, picture.total));
        let pods = subsets.get(index).map_or(0, Vec::len);
        most.is_none_or(|most| i64::from(most) > i64::try_from(pods).unwrap_or(i64::MAX))
    };
    let score = |fit: &&Fit| (fit.score + i64::from(has_room(fit.subset)), std::cmp::Reverse(fit.subset));
    fits.iter().max_by_key(score).map(|fit| fit.subset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::fixtures::{Cluster, pod};

    fn names<'p>(pods: impl IntoIterator<Item = &'p Arc<Pod>>) -> String {
        pods.into_iter().map(|pod| &*pod.name).collect::<Vec<_>>().join(" ")
    }

    fn grouped(picture: &Picture) -> Vec<(String, Vec<String>)> {
        let groups = group(picture);
        let show = |subsets: &Subsets<'_>| subsets.iter().map(|pods| names(pods.iter().copied())).collect();
        let mut shown: Vec<_> = groups.revisions.iter().map(|(revision, subsets)| ((*revision).to_owned(), show(subsets))).collect();
        shown.push(("astray".to_owned(), vec![names(groups.astray)]));
        shown
    }

    fn of(shown: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        shown.iter().map(|(name, pods)| ((*name).to_owned(), pods.iter().map(|&pods| pods.to_owned()).collect())).collect()
    }

    #[test]
    fn a_pod_is_where_it_says_in_its_own_revision() {
        let picture = Cluster::new("a:2 b")
            .pods([pod("p1").marked("a"), pod("p2").marked("b").revision("7"), pod("p3").marked("a"), pod("p4").marked("x"), pod("p5")])
            .picture();
        assert_eq!(grouped(&picture), of(&[("7", &["", "p2"]), ("versionIgnored", &["p1 p3", ""]), ("astray", &["p4 p5"])]));
    }

    #[test]
    fn the_mark_of_another_spread_or_without_a_subset_says_nothing() {
        let cluster = Cluster::new("a b").pods([pod("p1").marked_by("other", "a"), pod("p2").marked_by("spread", "").on("n")]);
        let picture = cluster.picture();
        let strangers: Vec<_> = picture.pods.iter().map(|pod| (said(&picture.spread, pod), is_stranger(&picture.spread, pod))).collect();
        assert_eq!(strangers, [(Said::Nothing, false), (Said::Nothing, true)]);
        assert_eq!(grouped(&picture), of(&[("versionIgnored", &["", ""]), ("astray", &["p1 p2"])]));
    }

    #[test]
    fn a_pod_that_nobody_placed_goes_where_it_fits_best_and_the_first_of_equals_with_room_has_it() {
        let fit = |subset, score| Fit { subset, score };
        let picture = Cluster::new("a:1 b c")
            .pods(["p1", "p2", "p3", "p4"].map(|name| pod(name).on("n")))
            .fits("p1", vec![fit(0, 10), fit(1, 0)])
            .fits("p2", vec![fit(0, 0), fit(1, 0), fit(2, 0)])
            .fits("p3", vec![fit(0, 10), fit(2, 0)])
            .fits("p4", vec![])
            .picture();
        assert_eq!(grouped(&picture), of(&[("versionIgnored", &["p1 p3", "p2", ""]), ("astray", &["p4"])]));
        let adopted: Vec<_> = group(&picture).adopted.iter().map(|(pod, index)| (pod.name.to_string(), *index)).collect();
        assert_eq!(adopted, [("p1".to_owned(), 0), ("p2".to_owned(), 1), ("p3".to_owned(), 0)]);
    }
}
