//! What users, kubelets and chance do to the cluster.

use super::*;
use serde_json::Value;

/// Tags that users try: two names of one image, one that never becomes ready, one that cannot be pulled.
const IMAGES: &[&str] = &["v1", "v2", "v2-again", "v3", "bad", "gone"];

/// One thing that happens. Pods, sets and containers are meant by number, counted round.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A plan is made for a set, and carried out.
    Plan(usize),
    /// The picture learns of the present state of a pod.
    Learn(usize),
    /// The picture learns of everything.
    LearnAll,
    /// The kubelet of a pod takes one step towards its spec, beginning with this container.
    Kubelet(usize, usize),
    /// The application of a pod fails, or comes up again.
    Fault(usize, bool),
    /// A pod is deleted, or gone if it was.
    Delete(usize),
    /// A pod has done its work.
    Finish(usize),
    /// A pod is made.
    Create,
    /// A set gets an image.
    Image(usize, &'static str),
    /// More than images changes in a set.
    Arguments(usize, bool),
    /// The idle twins of a set are to have this image.
    EmptyImage(usize, &'static str),
    /// A set gets a strategy.
    Strategy(usize, Value),
    /// A rollout is paused, or goes on.
    Pause(usize, bool),
}

/// Where a simulation begins, and what everybody wants in the end.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// How many pods there are.
    pub(super) pods: usize,
    /// The sidecars of each set: with a twin or without.
    pub(super) sets: Vec<Vec<bool>>,
    /// The strategy of each set when everybody has calmed down.
    pub(super) last: Vec<Value>,
    /// The image of all sidecars then: a new one, or back to the first.
    pub(super) image: &'static str,
}

pub(super) fn settings() -> impl Strategy<Value = Setting> {
    let sets = prop_oneof![
        2 => Just(vec![vec![false]]),
        2 => Just(vec![vec![true]]),
        1 => Just(vec![vec![false, true]]),
        1 => Just(vec![vec![true, true]]),
        1 => Just(vec![vec![false], vec![true]]),
        1 => Just(vec![vec![false], vec![false, false]]),
    ];
    let last = proptest::collection::vec((amounts(1), prop_oneof![Just(json!(0)), amounts(0)]), 2);
    (1..8usize, sets, last, proptest::sample::select(&["v1", "v9"][..])).prop_map(|(pods, sets, last, image)| {
        let last = last.into_iter().map(|(max_unavailable, partition)| json!({"maxUnavailable": max_unavailable, "partition": partition}));
        Setting { pods, sets, last: last.collect(), image }
    })
}

/// Numbers and percentages, not less than this.
fn amounts(least: i32) -> impl Strategy<Value = Value> {
    prop_oneof![(least..5).prop_map(|number| json!(number)), (least..=100).prop_map(|percent| json!(format!("{percent}%")))]
}

fn strategies() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![6 => Just("RollingUpdate"), 1 => Just("NotUpdate")];
    let partition = prop_oneof![2 => Just(json!(0)), 1 => amounts(0)];
    let selected = prop_oneof![3 => Just(false), 1 => Just(true)];
    (kind, partition, amounts(0), selected).prop_map(|(kind, partition, max_unavailable, is_selected)| {
        let mut strategy = json!({"type": kind, "partition": partition, "maxUnavailable": max_unavailable});
        if is_selected {
            strategy["selector"] = json!({"matchLabels": {"stage": "first"}});
        }
        strategy
    })
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => (0..2usize).prop_map(Step::Plan),
        10 => (0..8usize).prop_map(Step::Learn),
        6 => Just(Step::LearnAll),
        24 => (0..8usize, 0..5usize).prop_map(|(pod, container)| Step::Kubelet(pod, container)),
        3 => (0..8usize, any::<bool>()).prop_map(|(pod, is_up)| Step::Fault(pod, is_up)),
        1 => (0..8usize).prop_map(Step::Delete),
        1 => (0..8usize).prop_map(Step::Finish),
        2 => Just(Step::Create),
        5 => (0..2usize, proptest::sample::select(IMAGES)).prop_map(|(set, image)| Step::Image(set, image)),
        1 => (0..2usize, any::<bool>()).prop_map(|(set, is_more)| Step::Arguments(set, is_more)),
        1 => (0..2usize, proptest::sample::select(&["empty:1", "empty:2"][..])).prop_map(|(set, image)| Step::EmptyImage(set, image)),
        2 => (0..2usize, strategies()).prop_map(|(set, strategy)| Step::Strategy(set, strategy)),
        1 => (0..2usize, any::<bool>()).prop_map(|(set, is_paused)| Step::Pause(set, is_paused)),
    ]
}
