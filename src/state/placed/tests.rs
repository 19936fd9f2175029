use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{base::interned::Interner, plan::Key, spread::api::WorkloadSpread};

fn pod(name: &str, uid: &str, version: u64, mark: Option<&str>, owner: &str) -> Pod {
    let annotations =
        mark.map(|subset| json!({"apps.kruise.io/matched-workloadspread": json!({"name": "s", "subset": subset}).to_string()}));
    let object = json!({"metadata": {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": version.to_string(),
        "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations,
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": owner, "controller": true}]}});
    Pod::read(&serde_json::from_str(&object.to_string()).unwrap(), &mut Interner::default())
}

fn spread(name: &str) -> WorkloadSpread {
    let target = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "sum"});
    let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"namespace": "shop", "name": name, "uid": name},
        "spec": {"targetRef": target, "subsets": [{"name": "a", "maxReplicas": 3}]}});
    serde_json::from_value(object).unwrap()
}

fn state() -> State {
    let mut state = State::default();
    state.apply_spread(spread("s"));
    state.take_touched();
    state
}

fn observe(state: &mut State, pod: Pod) {
    let (namespace, name) = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
    state.observe_placed([&namespace, &name], Some(pod));
}

fn names(state: &State) -> String {
    let pods = state.placed.by_namespace.get("shop");
    let names: BTreeSet<_> = pods.into_iter().flat_map(|pods| pods.by_name.values()).map(|pod| &*pod.name).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn is_touched(state: &mut State) -> bool {
    state.take_touched().contains(&Key::Spread { namespace: "shop".into(), name: "s".into() })
}

#[test]
fn pods_are_kept_that_were_placed_and_where_there_are_spreads_all_that_belong_to_something() {
    let mut state = State::default();
    observe(&mut state, pod("placed", "1", 1, Some("a"), "sum"));
    observe(&mut state, pod("other", "2", 1, None, "sum"));
    assert_eq!(names(&state), "placed");
    state.apply_spread(spread("s"));
    observe(&mut state, pod("other", "2", 2, None, "sum"));
    assert_eq!(names(&state), "other placed");
    state.delete_spread("shop", "s");
    assert_eq!(names(&state), "placed");
    observe(&mut state, pod("placed", "1", 3, None, "sum"));
    assert_eq!(names(&state), "", "it says so no longer");
}

#[test]
fn without_the_gate_no_pod_is_kept() {
    let mut state = State::new(crate::base::gates::Gates { spreads: false, ..crate::base::gates::Gates::default() });
    observe(&mut state, pod("placed", "1", 1, Some("a"), "sum"));
    assert!(state.placed.is_empty());
}

#[test]
fn a_change_makes_work_for_the_spread_that_it_is_about() {
    let mut state = state();
    observe(&mut state, pod("p", "1", 1, None, "sum"));
    assert!(is_touched(&mut state));
    observe(&mut state, pod("p", "1", 2, None, "sum"));
    assert!(!is_touched(&mut state), "nothing has changed but the version");
    assert_eq!(&*state.placed.get("shop", "p").unwrap().resource_version, "2");
    observe(&mut state, pod("p", "1", 3, Some("a"), "sum"));
    assert!(is_touched(&mut state));
    state.delete_placed("shop", "p", None);
    assert!(is_touched(&mut state));
    state.apply_job(crate::base::workload::Workload {
        namespace: "shop".into(),
        identity: Owner { group: "batch".into(), version: "v1".into(), kind: "Job".into(), name: "else".into(), uid: "".into() },
        ..Default::default()
    });
    state.take_touched();
    observe(&mut state, pod("q", "2", 4, None, "else"));
    assert!(!is_touched(&mut state), "it belongs to another workload");
    observe(&mut state, pod("r", "3", 5, None, "unseen"));
    assert!(is_touched(&mut state), "whose the owner is is not known yet");
}

#[test]
fn a_list_shows_what_the_watch_has_yet_to_tell() {
    let mut state = state();
    observe(&mut state, pod("known", "1", 9, Some("a"), "sum"));
    let listing = state.begin_listing("shop");
    assert_eq!(state.placed.listed_at("shop"), None);
    state.take_touched();
    assert!(state.end_listing(listing, vec![pod("known", "1", 5, None, "sum"), pod("new", "2", 7, Some("a"), "sum")], at(3)));
    assert!(is_touched(&mut state));
    assert_eq!((names(&state).as_str(), state.placed.listed_at("shop")), ("known new", Some(at(3))));
    assert!(state.placed.get("shop", "known").unwrap().mark.is_some(), "the watch knows better");
    observe(&mut state, pod("new", "2", 6, None, "sum"));
    assert!(state.placed.get("shop", "new").unwrap().mark.is_some(), "the list knows better");
    state.delete_placed("shop", "new", None);
    assert_eq!(names(&state), "known");
    let listing = state.begin_listing("shop");
    assert!(state.end_listing(listing, vec![pod("known", "4", 12, Some("a"), "sum")], at(4)));
    state.delete_placed("shop", "known", Some("1"));
    assert_eq!(names(&state), "known", "the one that was deleted is an earlier one");
    assert!(!state.end_listing(listing, vec![], at(4)), "it has ended");
}

#[test]
fn what_is_gone_while_a_list_is_made_stays_gone() {
    let mut state = state();
    observe(&mut state, pod("a", "1", 1, Some("a"), "sum"));
    observe(&mut state, pod("b", "2", 1, Some("a"), "sum"));
    let (listing, other) = (state.begin_listing("shop"), state.begin_listing("bank"));
    for name in ["a", "b", "unseen"] {
        state.delete_placed("shop", name, None);
    }
    observe(&mut state, pod("b", "5", 8, Some("a"), "sum"));
    let list = vec![
        pod("a", "1", 1, Some("a"), "sum"),
        pod("a-2", "3", 2, Some("a"), "sum"),
        pod("b", "5", 8, Some("a"), "sum"),
        pod("unseen", "4", 2, Some("a"), "sum"),
    ];
    assert!(state.end_listing(listing, list, at(1)));
    assert_eq!(names(&state), "a-2 b", "b was made anew");
    assert!(state.end_listing(other, vec![], at(1)));
    assert_eq!(state.placed.listed_at("bank"), None, "it has no spreads");
}

#[test]
fn a_list_says_nothing_when_everything_was_listed_anew_meanwhile() {
    let mut state = state();
    let listing = state.begin_listing("shop");
    state.reset_placed(vec![pod("a", "1", 1, Some("a"), "sum")]);
    assert!(!state.end_listing(listing, vec![pod("b", "2", 1, Some("a"), "sum")], at(1)));
    assert_eq!((names(&state).as_str(), state.placed.listed_at("shop")), ("a", None));
    let listing = state.begin_listing("shop");
    assert!(state.end_listing(listing, vec![], at(2)));
    state.reset_placed(vec![]);
    assert_eq!(state.placed.listed_at("shop"), None, "the watch may be behind of the list");
    let listing = state.begin_listing("shop");
    state.give_up_listing(listing);
    assert!(state.placed.listings.is_empty());
}

#[test]
fn a_reset_forgets_what_is_not_in_it_and_keeps_what_it_is_behind_of() {
    let mut state = state();
    for (name, version) in [("gone", 5), ("later", 9), ("same", 5)] {
        observe(&mut state, pod(name, name, version, Some("a"), "sum"));
    }
    state.reset_placed(vec![
        pod("later", "later", 7, None, "sum"),
        pod("same", "same", 5, Some("a"), "sum"),
        pod("new", "n", 6, None, "sum"),
    ]);
    assert_eq!(names(&state), "later new same");
    assert!(state.placed.get("shop", "later").unwrap().mark.is_some() && is_touched(&mut state));
    let departed: Vec<_> = state.placed.departed("shop", "s").map(|departed| departed.key.to_string()).collect();
    assert_eq!(departed, ["gone"]);
}

#[test]
fn pods_that_are_gone_are_remembered_for_their_notes() {
    let mut state = state();
    let with_id = |name: &str, id: &str| {
        let mut pod = pod(name, name, 1, Some("a"), "sum");
        pod.mark.as_mut().unwrap().uid = id.into();
        pod
    };
    observe(&mut state, with_id("p", "id-1"));
    state.delete_placed("shop", "p", None);
    observe(&mut state, pod("q", "1", 1, Some("a"), "sum"));
    observe(&mut state, pod("q", "2", 2, Some("a"), "sum"));
    observe(&mut state, pod("r", "3", 1, None, "sum"));
    state.delete_placed("shop", "r", None);
    let of = |state: &State, spread| state.placed.departed("shop", spread).map(|departed| departed.key.to_string()).collect::<Vec<_>>();
    assert_eq!((of(&state, "s"), of(&state, "other")), (vec!["id-1".to_owned(), "q".to_owned()], vec![]));
    for number in 0..DEPARTED + 5 {
        observe(&mut state, with_id("x", &number.to_string()));
        state.delete_placed("shop", "x", None);
    }
    assert_eq!(of(&state, "s").len(), DEPARTED);
}

#[test]
fn an_answer_brings_back_no_pod_that_is_gone() {
    let mut state = state();
    observe(&mut state, pod("p", "1", 1, Some("a"), "sum"));
    state.assume_placed(Some(pod("p", "1", 5, Some("b"), "sum")));
    observe(&mut state, pod("p", "1", 4, Some("a"), "sum"));
    assert_eq!(&*state.placed.get("shop", "p").unwrap().mark.as_ref().unwrap().subset, "b");
    state.delete_placed("shop", "p", None);
    state.assume_placed(Some(pod("p", "1", 6, Some("b"), "sum")));
    assert_eq!(names(&state), "");
}

proptest! {
    #[test]
    fn the_index_answers_as_a_walk_would(steps in proptest::collection::vec((0..6_u8, 0..8_u64, 0..3_u8, 0..8_u8), 0..60)) {
        let mut placed = Placed::default();
        for (name, version, owner, what) in steps {
            let pod = pod(&name.to_string(), &name.to_string(), version, Some("a"), &owner.to_string());
            match what {
                0 => drop(placed.delete("shop", &pod.name, None)),
                1 => placed.reset(vec![pod]),
                2 => drop(placed.assume(pod)),
                _ => drop(placed.apply(pod)),
            }
            let mut seen = 0;
            for (owner, family) in placed.families("shop") {
                for pod in family {
                    prop_assert_eq!(pod.controller.as_ref(), owner);
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, placed.len());
        }
    }
}

/// What the API server has, what the watch has told of it, and what a list showed.
#[derive(Clone, Debug)]
enum Step {
    Make(u8),
    Delete(u8),
    /// The watch tells so many events.
    Tell(usize),
    BeginList,
    EndList,
    /// The watch begins anew, with what there was so many changes ago.
    Reset(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_u8).prop_map(Step::Make),
        3 => (0..4_u8).prop_map(Step::Delete),
        4 => (1..4_usize).prop_map(Step::Tell),
        2 => Just(Step::BeginList),
        2 => Just(Step::EndList),
        1 => (0..4_usize).prop_map(Step::Reset),
    ];
    proptest::collection::vec(step, 0..60)
}

/// All that ever was: after each change, the pods that there are.
type History = Vec<std::collections::BTreeMap<u8, Pod>>;

fn tell(state: &mut State, history: &History, told: &mut usize, events: usize) {
    for _ in 0..events {
        let Some(next) = history.get(*told + 1) else { return };
        for name in 0..4_u8 {
            match (history[*told].get(&name), next.get(&name)) {
                (before, Some(pod)) if before != Some(pod) => observe(state, pod.clone()),
                (Some(gone), None) => state.delete_placed("shop", &name.to_string(), Some(&gone.uid)),
                _ => {}
            }
        }
        *told += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn while_a_list_holds_no_pod_is_missed_that_it_showed_and_in_the_end_all_is_as_it_is(steps in steps()) {
        let (mut state, mut history, mut told) = (state(), vec![std::collections::BTreeMap::new()], 0);
        let mut listing: Option<(u64, Vec<Pod>)> = None;
        // What was there when the last list that holds was made.
        let mut shown: Option<usize> = None;
        for step in steps {
            match step {
                Step::Make(name) => {
                    let mut now = history.last().unwrap().clone();
                    let version = u64::try_from(history.len()).unwrap();
                    now.insert(name, pod(&name.to_string(), &version.to_string(), version, Some("a"), "sum"));
                    if !history.last().unwrap().contains_key(&name) {
                        history.push(now);
                    }
                }
                Step::Delete(name) => {
                    let mut now = history.last().unwrap().clone();
                    if now.remove(&name).is_some() {
                        history.push(now);
                    }
                }
                Step::Tell(events) => tell(&mut state, &history, &mut told, events),
                Step::BeginList if listing.is_none() => {
                    listing = Some((state.begin_listing("shop"), history.last().unwrap().values().cloned().collect()));
                }
                Step::EndList => {
                    let Some((id, pods)) = listing.take() else { continue };
                    let at_list = history.iter().rposition(|then| then.values().eq(pods.iter()));
                    if state.end_listing(id, pods, at(1)) {
                        shown = at_list;
                    }
                }
                Step::Reset(behind) => {
                    told = told.max(history.len().saturating_sub(behind + 1));
                    state.reset_placed(history[told].values().cloned().collect());
                    shown = None;
                }
                Step::BeginList => {}
            }
            prop_assert_eq!(shown.is_some(), state.placed.listed_at("shop").is_some());
            // Whoever was there then and is there now is known.
            let now = history.last().unwrap();
            for pod in shown.into_iter().flat_map(|then| history[then].values()).filter(|pod| now.values().any(|one| one.uid == pod.uid)) {
                prop_assert_eq!(state.placed.get("shop", &pod.name).map(|known| &known.uid), Some(&pod.uid));
            }
        }
        tell(&mut state, &history, &mut told, usize::MAX);
        let now: Vec<Value> = history.last().unwrap().values().map(|pod| json!([&*pod.name, &*pod.uid])).collect();
        let pods = state.placed.by_namespace.get("shop");
        let mut known: Vec<_> = pods.into_iter().flat_map(|pods| pods.by_name.values()).map(|pod| json!([&*pod.name, &*pod.uid])).collect();
        known.sort_by_key(Value::to_string);
        prop_assert_eq!(known, now);
    }
}
