//! Whole plans, from pictures. Names of cases are those of the reference's tests, where it has them.

mod limits;
mod native;
mod rounds;
mod told;

use serde_json::{Value, json};

use super::*;
use crate::sidecarset::fixtures::{Cluster, Fixture, cold, pod, rollout, set, with};

/// A set of the sidecar `log`, wanted at v2, with this strategy.
fn wanted(strategy: &Value) -> Value {
    set("log", &with(cold("log:v2"), strategy))
}

/// A pod that the set was injected into when its image was this.
fn at(image: &str, name: &str) -> Fixture {
    pod(name).injected(&rollout("log", cold(image)))
}

/// So many pods named `pod-000` and so on, made one after another: so many of the last ones old, and of the new ones so many available.
fn population(count: usize, updated: usize, available: usize) -> Vec<Fixture> {
    let (old, new) = (at("log:v1", "x"), at("log:v2", "x"));
    let down = new.clone().down("log");
    let of = |number: usize| {
        let like = match number {
            _ if number < available => &new,
            _ if number < updated => &down,
            _ => &old,
        };
        named(like, number)
    };
    (0..count).map(of).collect()
}

fn named(like: &Fixture, number: usize) -> Fixture {
    let mut pod = like.clone();
    pod.0["metadata"]["name"] = format!("pod-{number:03}").into();
    pod.0["metadata"]["uid"] = format!("uid-{number:03}").into();
    pod.created(u32::try_from(number).unwrap())
}

/// The pods that a plan changes, in its order.
fn picked(set: Value, pods: Vec<Fixture>) -> Vec<String> {
    Cluster::of([set], pods).round("log").changed
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("pod-{number:03}")).collect()
}
