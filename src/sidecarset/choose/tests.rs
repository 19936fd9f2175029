use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    base::{
        interned::Interner,
        observed::{Phase, Pod, SharedLabels},
    },
    sidecarset::order::Order,
};

fn strategy(strategy: &Value) -> UpdateStrategy {
    serde_json::from_value(strategy.clone()).unwrap()
}

fn available(count: usize) -> Vec<Candidate> {
    (0..count).map(|position| Candidate { position, is_available: true }).collect()
}

/// A rollout of the reference's tests: so many pods, of which so many are updated, of which so many are available.
struct Rollout(usize, usize, usize);

impl Rollout {
    fn limits(&self, update: &Value) -> Limits {
        Limits { unavailable: self.1 - self.2, ..Limits::of(&strategy(update), self.0).unwrap() }
    }
}

#[test]
fn as_many_are_taken_as_in_the_reference() {
    // In all of these no old pod is kept back but by the partition.
    for (rollout, update, taken) in [
        (Rollout(100, 30, 26), json!({"maxUnavailable": 10}), 6),
        (Rollout(1000, 300, 260), json!({"maxUnavailable": "10%"}), 60),
        (Rollout(1000, 300, 250), json!({"maxUnavailable": "5%"}), 0),
        (Rollout(100, 30, 27), json!({"maxUnavailable": 100}), 70),
        (Rollout(1000, 800, 760), json!({"partition": 180, "maxUnavailable": 100}), 20),
        (Rollout(1000, 800, 760), json!({"partition": 100, "maxUnavailable": 100}), 60),
        (Rollout(1000, 800, 760), json!({"partition": "18%", "maxUnavailable": 100}), 20),
        (Rollout(1000, 800, 760), json!({"partition": "10%", "maxUnavailable": 100}), 60),
        (Rollout(5, 0, 0), json!({"maxUnavailable": "5%"}), 1),
        (Rollout(5, 0, 0), json!({"maxUnavailable": 5, "partition": "99%"}), 1),
        (Rollout(5, 0, 0), json!({"maxUnavailable": 5, "partition": "1%"}), 4),
    ] {
        let waiting = available(rollout.0 - rollout.1);
        assert_eq!(take(&waiting, &rollout.limits(&update)).positions.len(), taken, "{update}");
    }
}

#[test]
fn old_pods_that_do_not_wait_are_not_taken_and_hold_no_other_up() {
    // Here old pods are kept back, but no partition asks how many: 970 that the selector leaves out, 100 not upgradable.
    let limits = Limits { kept_back: 970, ..Rollout(1000, 0, 0).limits(&json!({"maxUnavailable": 100})) };
    assert_eq!(take(&available(30), &limits).positions.len(), 30);
    let limits = Limits { kept_back: 100, ..Rollout(100, 0, 0).limits(&json!({"maxUnavailable": 100})) };
    assert_eq!(take(&[], &limits), Taken::default());
}

/// Twenty pods, `pod-10` to `pod-19` waiting, made one after another; the names of those that are taken.
fn next(update: &Value, unavailable: usize, change: impl Fn(usize, &mut Pod) -> Vec<(String, String)>) -> Vec<String> {
    let pods: Vec<_> = (0..20)
        .map(|number| {
            let created = Timestamp::from_second(number).ok();
            let name = format!("pod-{number}").into();
            let mut pod = Pod { name, created, is_assigned: true, phase: Phase::Running, is_ready: true, ..Pod::default() };
            let labels = change(usize::try_from(number).unwrap(), &mut pod);
            Pod { labels: SharedLabels::of(labels.iter().map(|(key, value)| (key, value)), &mut Interner::default()), ..pod }
        })
        .collect();
    let strategy = strategy(update);
    let order = Order::compile(&strategy).sort(&pods.iter().collect::<Vec<_>>(), (10..20).collect());
    let waiting: Vec<_> = order.into_iter().map(|position| Candidate { position, is_available: pods[position].is_available() }).collect();
    let limits = Limits { unavailable, ..Limits::of(&strategy, pods.len()).unwrap() };
    take(&waiting, &limits).positions.into_iter().map(|position| pods[position].name.to_string()).collect()
}

fn names(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("pod-{number}")).collect()
}

#[test]
fn the_next_pods_are_those_of_the_reference() {
    let ten = json!({"maxUnavailable": 10});
    assert_eq!(next(&ten, 5, |_, _| vec![]), names(&[19, 18, 17, 16, 15]));
    let not_ready = |number, pod: &mut Pod| {
        pod.is_ready = ![10, 13].contains(&number);
        vec![]
    };
    assert_eq!(next(&ten, 5, not_ready), names(&[13, 10, 19, 18, 17, 16, 15]));

    let weight = |weight: i32, value: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"test-key": value}}});
    let weights = json!({"maxUnavailable": 10, "priorityStrategy": {"weightPriority": [weight(50, "foo"), weight(30, "bar")]}});
    let labels = |number, _: &mut Pod| match number {
        15 => vec![("test-key".to_owned(), "bar".to_owned())],
        16 => vec![("test-key".to_owned(), "foo".to_owned())],
        _ => vec![],
    };
    assert_eq!(next(&weights, 8, labels), names(&[16, 15]));

    let keys = json!({"maxUnavailable": 10, "priorityStrategy": {"orderPriority": [{"orderedKey": "key1"}]}});
    let labels = |number, _: &mut Pod| {
        let value = match number {
            17 => "10",
            18 => "20",
            _ => "5",
        };
        vec![("key1".to_owned(), value.to_owned())]
    };
    assert_eq!(next(&keys, 8, labels), names(&[18, 17]));
}

/// B6 of the list of the reference's bugs: of ten pods four cannot be updated, and half are to stay old.
#[test]
fn old_pods_that_are_kept_back_anyway_count_for_the_partition() {
    let update = json!({"partition": "50%", "maxUnavailable": 10});
    let limits = Limits { kept_back: 4, ..Limits::of(&strategy(&update), 10).unwrap() };
    let expected = Taken { positions: vec![0, 1, 2, 3, 4], held_by_partition: 1, held_by_max_unavailable: 0 };
    assert_eq!(take(&available(6), &limits), expected);
    let more = Limits { kept_back: 7, ..limits };
    assert_eq!(take(&available(3), &more).held_by_partition, 0);
}

#[test]
fn a_pod_that_is_down_costs_nothing_wherever_it_stands() {
    let waiting: Vec<_> = [true, true, false, true, false]
        .into_iter()
        .enumerate()
        .map(|(position, is_available)| Candidate { position, is_available })
        .collect();
    let limits = Limits { max_unavailable: 1, ..Limits::default() };
    assert_eq!(take(&waiting, &limits), Taken { positions: vec![0, 2, 4], held_by_partition: 0, held_by_max_unavailable: 2 });
    let none = Limits { max_unavailable: 0, unavailable: 3, partition: 1, ..limits };
    assert_eq!(take(&waiting, &none), Taken { positions: vec![2], held_by_partition: 1, held_by_max_unavailable: 3 });
}

#[test]
fn more_that_are_kept_than_wait_leave_nothing_to_take() {
    let limits = Limits { partition: 9, max_unavailable: 9, ..Limits::default() };
    assert_eq!(take(&available(3), &limits), Taken { positions: vec![], held_by_partition: 3, held_by_max_unavailable: 0 });
}

#[test]
fn a_strategy_without_limits_keeps_none_and_takes_one() {
    assert_eq!(Limits::of(&UpdateStrategy::default(), 10), Ok(Limits { max_unavailable: 1, ..Limits::default() }));
}

#[test]
fn a_limit_that_cannot_be_read_names_its_field() {
    let error = |update: Value| Limits::of(&strategy(&update), 10).unwrap_err().to_string();
    assert_eq!(
        error(json!({"partition": "half"})),
        "spec.updateStrategy.partition: expected a number or a percentage like `20%`, found `half`"
    );
    assert_eq!(
        error(json!({"maxUnavailable": "few"})),
        "spec.updateStrategy.maxUnavailable: expected a number or a whole percentage like `20%`, found `few`"
    );
}
