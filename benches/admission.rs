//! What a review costs without the wire: reading it, deciding, writing the answer, each and together. And what it costs to
//! plan the rollout of a set, which is done anew after each change of its pods.

#![expect(clippy::expect_used, reason = "a fixture that does not load ends the bench")]

mod fixtures;
#[path = "admission/rollout.rs"]
mod rollout;

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fixtures::{review as body, sets};
use jiff::Timestamp;
use outrigger::{
    admission::review,
    base::gates::Gates,
    handlers::{Verdict, pod},
    state::State,
};
use rollout::Stage;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: Timestamp = Timestamp::constant(1_768_465_800, 0);

/// A cluster with so many matching sets, so many others, and one that every pod is held against.
fn cluster(matching: usize, others: usize) -> State {
    let mut state = State::new(Gates::default());
    let all = (0..matching).map(sets::matching).chain((0..others).map(sets::other)).chain([sets::unfiled()]);
    for set in all {
        state.apply_set(serde_json::from_value(set).expect("a SidecarSet")).expect("a usable set");
    }
    state
}

/// From bytes to bytes, as the server does it.
fn answer(body: &[u8], state: &State) -> Vec<u8> {
    let request = review::read(body).expect("a review");
    let decision = pod::mutate(&request, &state.snapshot(), NOW).unasked(&state.snapshot(), NOW);
    review::write(&request.uid, &decision)
}

fn envelope(criterion: &mut Criterion) {
    let (bytes, state) = (body::of_app(sets::APP), cluster(2, 0));
    let request = review::read(&bytes).expect("a review");
    let patched = pod::mutate(&request, &state.snapshot(), NOW).unasked(&state.snapshot(), NOW);
    let allowed = Verdict::allow().unasked(&state.snapshot(), NOW);
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Bytes(body::SIZE as u64));
    group.bench_function("read", |bencher| bencher.iter(|| review::read(black_box(&bytes)).expect("a review").uid.len()));
    group.throughput(Throughput::Bytes(review::write(&request.uid, &patched).len() as u64));
    group.bench_function("write patch of 2 sets", |bencher| bencher.iter(|| review::write(&request.uid, black_box(&patched))));
    group.throughput(Throughput::Elements(1));
    group.bench_function("write allowed", |bencher| bencher.iter(|| review::write(&request.uid, black_box(&allowed))));
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    among(criterion, "skip, other sets", sets::OTHER_APP, 2, &[0, 1_000, 50_000]);
    among(criterion, "inject 2 sets, other sets", sets::APP, 2, &[0, 1_000, 50_000]);
    for matching in [1, 5, 20] {
        among(criterion, &format!("inject {matching} sets, other sets"), sets::APP, matching, &[0]);
    }
}

/// A pod of `app` in clusters with so many matching sets, and so many others.
fn among(criterion: &mut Criterion, name: &str, app: &str, matching: usize, others: &[usize]) {
    let bytes = body::of_app(app);
    let mut group = criterion.benchmark_group(name);
    for others in others {
        group.bench_with_input(BenchmarkId::from_parameter(others), others, |bencher, others| {
            let state = cluster(matching, *others);
            bencher.iter(|| answer(black_box(&bytes), &state));
        });
    }
    group.finish();
}

/// The order is to be linear in the pods: ten times as many cost ten times as much.
fn plan(criterion: &mut Criterion) {
    let scatter = json!({"scatterStrategy": [{"key": "zone", "value": "*"}]});
    for (name, stage, order) in
        [("idle", Stage::Idle, json!({})), ("midway", Stage::Midway, json!({})), ("midway, scattered", Stage::Midway, scatter)]
    {
        let mut group = criterion.benchmark_group(format!("plan {name}"));
        for count in [1_000, 10_000] {
            let picture = rollout::picture(count, stage, &order);
            assert_eq!(rollout::planned(&picture).is_done(), stage == Stage::Idle);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| rollout::planned(black_box(&picture)).each.len());
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = admission;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = envelope, whole, plan
}
criterion_main!(admission);
