//! A small cluster to decide over, and reviews to begin with.

use std::{path::Path, sync::OnceLock};

use jiff::Timestamp;
use outrigger::{
    admission::{
        ask::{Answer, Cause, Question},
        review::{self, Request},
        verdict::{Decision, Outcome},
    },
    base::gates::Gates,
    handlers::{Registration, Verdict},
    offline::{ask, claims, documents, files::Folder},
    state::State,
};
use serde_json::Value;

use super::choices::Choices;

pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
pub(crate) const LATER: Timestamp = Timestamp::constant(1_800_003_600, 0);

/// What there is.
pub(crate) struct Cluster {
    pub(crate) state: State,
    pub(crate) objects: Vec<Value>,
    /// Reviews of all kinds, each with its path.
    pub(crate) reviews: Vec<Value>,
}

/// The one cluster.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        // These functions belong to the targets and to the tests of the product alike.
        let path = ["cluster", "fuzz/cluster"].map(|folder| own.join(folder)).into_iter().find(|folder| folder.exists()).unwrap();
        let folder = Folder { path, own_namespace: "outrigger-system".to_owned(), gates: gates() };
        let (state, objects) = folder.load().unwrap();
        let reviews = documents::parse("reviews", include_str!("../reviews.yaml")).unwrap();
        Cluster { state, objects, reviews: reviews.into_iter().map(|review| review.value).collect() }
    })
}

fn gates() -> Gates {
    Gates::parse("SidecarTerminator=true,ResourcesDeletionProtection=true,DeletionProtectionForCRDCascadingGate=true,PodUnavailableBudgetDeleteGate=true,PodUnavailableBudgetUpdateGate=true,KruisePodReadinessGate=true").unwrap()
}

/// A picture of these sets, all features on.
pub(crate) fn state(sets: &[Value]) -> State {
    let mut state = State::new(gates());
    for set in sets {
        state.apply_set(serde_json::from_value(set.clone()).unwrap()).unwrap();
    }
    state
}

/// The decision of a hook; questions are answered by the objects, or by whatever comes.
pub(crate) fn decide(hook: &Registration, request: &Request<'_>, cluster: &Cluster, choices: &mut Choices<'_>, now: Timestamp) -> Decision {
    let mut verdict = (hook.handler)(request, &cluster.state.snapshot(), now);
    for _ in 0..16 {
        match verdict {
            Verdict::Decided(decision) => return decision,
            Verdict::Claim(claims) => return claims::trial(&cluster.state, claims, now),
            Verdict::Ask(open) => {
                let answers = open.questions.iter().map(|question| answer(question, cluster, choices)).collect();
                verdict = open.settle(answers, &cluster.state.snapshot(), now);
            }
        }
    }
    panic!("{} asks without end", hook.name)
}

fn answer(question: &Question, cluster: &Cluster, choices: &mut Choices<'_>) -> Answer {
    match choices.below(8) {
        1 => Answer::nobody(),
        2 => Answer::Good,
        3 => Answer::Absent,
        4 => Answer::Counted { count: u64::from(choices.byte()), is_all: choices.yes() },
        5 => Answer::Invalid(vec![Cause { field: choices.text(), message: choices.text() }]),
        6 => Answer::Found(choices.value(&["metadata", "spec", "status", "labels", "replicas"], 3).to_string()),
        7 => {
            let mut object = cluster.objects[choices.below(cluster.objects.len())].clone();
            choices.mutate(&mut object);
            Answer::Found(object.to_string())
        }
        _ => ask::answer(question, &cluster.objects),
    }
}

/// Checks that what a hook says can be said: JSON, of this request, and a patch that fits the object.
pub(crate) fn check(request: &Request<'_>, decision: &Decision) -> Option<Value> {
    let written = review::write(&request.uid, decision);
    let response: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(response["response"]["uid"], *request.uid);
    assert_eq!(response["response"]["allowed"], matches!(decision.outcome, Outcome::Allow(_)));
    let Outcome::Allow(edits) = &decision.outcome else {
        assert!(!response["response"]["status"]["message"].as_str().unwrap().is_empty());
        return None;
    };
    if edits.is_empty() {
        return None;
    }
    let Some(object) = request.object else { panic!("{request:?} has no object to patch: {}", edits.to_json_patch()) };
    let mut object: Value = serde_json::from_str(object.get()).unwrap();
    let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap_or_else(|error| panic!("{error}: {patch} for {object}"));
    Some(object)
}
