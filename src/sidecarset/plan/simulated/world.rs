//! The simulated cluster, its picture, and what has to hold after each step.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

pub(super) use super::users::{Setting, Step};
use super::{super::plan, json};
use crate::{
    plan::{Action, Plan},
    sidecarset::fixtures::{Cluster, Fixture, pod, set},
};

pub(super) struct World {
    cluster: Cluster,
    /// The pods as the reconciler knows them: older than they are, but never older than its own writes.
    seen: BTreeMap<String, Fixture>,
    /// By set, the pods that were up when they were changed, and have not come up since.
    taken: BTreeMap<String, BTreeSet<String>>,
    made: usize,
    setting: Setting,
    /// What has happened, for whoever reads of a failure.
    story: Vec<String>,
}

impl World {
    pub(super) fn of(setting: &Setting) -> Self {
        let sets = setting.sets.iter().zip(["log", "mesh"]).map(|(sidecars, name)| {
            let sidecar = |(at, is_hot): (usize, &bool)| {
                let mut sidecar = json!({"name": format!("{name}{at}"), "image": format!("{name}{at}:v1")});
                if *is_hot {
                    sidecar["upgradeStrategy"] = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"});
                }
                sidecar
            };
            set(name, &json!({"containers": sidecars.iter().enumerate().map(sidecar).collect::<Vec<_>>()}))
        });
        let cluster = Cluster::of(sets, []);
        let mut world =
            Self { cluster, seen: BTreeMap::new(), taken: BTreeMap::new(), made: 0, setting: setting.clone(), story: Vec::new() };
        for _ in 0..setting.pods {
            let name = world.create();
            world.cluster.change(&name, Fixture::started);
        }
        world.learn_all();
        world
    }

    pub(super) fn step(&mut self, step: &Step) {
        self.story.push(format!("{step:?}"));
        match step {
            Step::Plan(set) => self.plan(&self.nth_set(*set)),
            Step::LearnAll => self.learn_all(),
            Step::Create => drop(self.create()),
            Step::Learn(pod) => self.with_pod(*pod, Self::learn),
            Step::Kubelet(pod, container) => self.with_pod(*pod, |world, name| world.kubelet(name, *container)),
            Step::Fault(pod, is_up) => self.with_pod(*pod, |world, name| {
                world.cluster.change(name, |pod| pod.set_ready("main", *is_up));
            }),
            Step::Delete(pod) => self.with_pod(*pod, Self::delete),
            Step::Finish(pod) => self.with_pod(*pod, |world, name| world.cluster.change(name, |pod| pod.phase("Succeeded"))),
            Step::Image(set, image) => self.edit(*set, |sidecar, name| sidecar["image"] = format!("{name}:{image}").into()),
            Step::Arguments(set, is_more) => {
                self.edit(*set, |sidecar, _| sidecar["args"] = json!(if *is_more { vec!["-v"] } else { vec![] }));
            }
            Step::EmptyImage(set, image) => self.edit(*set, |sidecar, _| {
                if sidecar.get("upgradeStrategy").is_some() {
                    sidecar["upgradeStrategy"]["hotUpgradeEmptyImage"] = (*image).into();
                }
            }),
            Step::Strategy(set, strategy) => self.cluster.publish(&self.nth_set(*set), &json!({"updateStrategy": strategy})),
            Step::Pause(set, is_paused) => {
                let set = self.nth_set(*set);
                let mut strategy = self.cluster.sets[&set]["spec"].get("updateStrategy").cloned().unwrap_or(json!({}));
                strategy["paused"] = (*is_paused).into();
                self.cluster.publish(&set, &json!({"updateStrategy": strategy}));
            }
        }
        self.settle_accounts();
        self.check_twins();
    }

    fn nth_set(&self, number: usize) -> String {
        self.cluster.sets.keys().nth(number % self.cluster.sets.len()).unwrap().clone()
    }

    fn with_pod(&mut self, number: usize, what: impl FnOnce(&mut Self, &str)) {
        let name = self.cluster.pods.keys().nth(number % self.cluster.pods.len().max(1)).cloned();
        if let Some(name) = name {
            what(self, &name);
        }
    }

    fn edit(&mut self, set: usize, change: impl Fn(&mut Value, &str)) {
        let set = self.nth_set(set);
        let mut sidecars = self.cluster.sets[&set]["spec"]["containers"].clone();
        for sidecar in sidecars.as_array_mut().unwrap() {
            let name = sidecar["name"].as_str().unwrap().to_owned();
            change(sidecar, &name);
        }
        self.cluster.publish(&set, &json!({"containers": sidecars}));
    }

    fn create(&mut self) -> String {
        let name = format!("web-{:02}", self.made);
        let mut new = pod(&name).created(u32::try_from(self.made).unwrap());
        for set in self.cluster.sets.keys() {
            new = new.injected(&self.cluster.rollout(set));
        }
        if self.made.is_multiple_of(2) {
            new = new.labelled("stage", "first");
        }
        self.made += 1;
        self.cluster.version += 1;
        self.cluster.pods.insert(name.clone(), new.pending().version(self.cluster.version));
        name
    }

    fn delete(&mut self, name: &str) {
        if self.cluster.pods[name].0["metadata"].get("deletionTimestamp").is_some() {
            self.cluster.pods.remove(name);
        } else {
            self.cluster.change(name, Fixture::terminating);
        }
    }

    fn learn(&mut self, name: &str) {
        if let Some(pod) = self.cluster.pods.get(name) {
            self.seen.insert(name.to_owned(), pod.clone());
        }
    }

    fn learn_all(&mut self) {
        self.seen.clone_from(&self.cluster.pods);
    }

    /// One step of a kubelet; whether there was one to take.
    fn kubelet(&mut self, name: &str, first: usize) {
        let pod = &self.cluster.pods[name];
        let containers = pod.containers();
        // What was stopped for an image that nobody wants any more is started all the same; only users mend the application.
        let is_stopped = |name: &str| name != "main" && !pod.is_up(name) && !pod.image_of(name).contains("bad");
        let is_behind = |name: &&String| pod.has_yet_to_start(name) || is_stopped(name);
        let behind = containers.iter().cycle().skip(first).take(containers.len()).find(is_behind);
        let Some(container) = behind.cloned() else { return };
        if pod.is_up(&container) {
            self.cluster.change(name, |pod| pod.stop(&container));
        } else if !pod.image_of(&container).contains("gone") {
            self.cluster.change(name, |pod| pod.start(&container));
        }
    }

    /// Kubelets do all that they can.
    fn kubelets(&mut self) {
        for name in self.cluster.pods.keys().cloned().collect::<Vec<_>>() {
            for first in 0..self.cluster.pods[&name].containers().len() {
                self.kubelet(&name, first);
                self.kubelet(&name, first);
            }
        }
        self.settle_accounts();
    }

    fn plan(&mut self, set: &str) {
        let plan = plan(&self.cluster.picture(set, self.seen.values()), &self.cluster.circumstances());
        self.check_numbers(set, &plan);
        let mut touched = BTreeSet::new();
        for task in &plan.each {
            let (Action::Patch(crate::plan::Patch { target, .. }) | Action::Delete { target, .. }) = &task.action else {
                panic!("{task:?}")
            };
            assert!(touched.insert(target.name.clone()), "{} is changed twice in a plan: {plan:?}", target.name);
        }
        let before = self.cluster.pods.clone();
        let (max_unavailable, partition) = self.limits(set);
        let old_before = self.old(set);
        let round = self.cluster.carry_out(plan);
        self.story.push(format!("{set} changed {:?}, refused {:?}, told {:?}", round.changed, round.stale, round.told));
        for name in &round.stale {
            assert_ne!(self.seen.get(name), before.get(name), "{name} was refused although it was known");
        }
        let mut has_taken = false;
        let mut updated = 0;
        for name in &round.changed {
            updated += usize::from(self.check_change(set, &before[name]));
            if self.is_up(set, &before[name]) && !self.is_up(set, &self.cluster.pods[name]) {
                has_taken |= self.taken.entry(set.to_owned()).or_default().insert(name.clone());
            }
        }
        let taken = self.taken.get(set).map_or(0, BTreeSet::len);
        assert!(!has_taken || taken <= max_unavailable, "{set}: {:?} are down, {max_unavailable} may be{}", self.taken, self.tale());
        assert!(
            updated == 0 || old_before - updated >= partition,
            "{set}: {updated} of {old_before} old ones were updated, {partition} are to stay"
        );
        for name in round.changed.iter().chain(&round.told) {
            self.learn(name);
        }
    }

    /// What has happened, and what has come of it.
    fn tale(&self) -> String {
        let pods = self.cluster.pods.values().map(|pod| format!("{}: {}", pod.name(), pod.told()));
        [String::new()].into_iter().chain(self.story.iter().cloned()).chain(pods).collect::<Vec<_>>().join("\n")
    }

    /// Whether this change of a pod was an update; else it has to be the end of a hot upgrade.
    fn check_change(&self, set: &str, before: &Fixture) -> bool {
        let after = &self.cluster.pods[before.name()];
        let rollout = self.cluster.rollout(set);
        assert!(before.is_active(), "{before:?}");
        if before.noted_hash(set) == after.noted_hash(set) {
            assert!(
                !self.is_at_rest(set, before) && self.is_at_rest(set, after),
                "{set} changed {} for nothing{}",
                before.name(),
                self.tale()
            );
            return false;
        }
        let strategy = &rollout.set.spec.update_strategy;
        assert!(!strategy.paused && strategy.kind.as_deref() != Some("NotUpdate"), "{set} updates though it is held");
        assert_eq!(after.noted_hash(set), rollout.hash);
        assert_eq!(before.noted_hash_without_image(set), rollout.hash_without_image, "{set} updates what cannot be updated");
        let is_changing = |name: &&String| before.is_up(name) && before.has_yet_to_start(name);
        assert_eq!(rollout.containers.iter().find(is_changing), None, "an earlier change is still on its way{}", self.tale());
        for sidecar in rollout.hot() {
            let serving: Vec<_> = sidecar.containers().into_iter().filter(|name| before.is_up(name) && !before.runs_empty(name)).collect();
            if let [one] = serving.as_slice() {
                assert_eq!(before.image_of(one), after.image_of(one), "the twin that serves was changed: {before:?}");
            }
        }
        true
    }

    /// Whether of all twins one idles: in a pod that has what the set wants, with the set's own empty image.
    fn is_at_rest(&self, set: &str, pod: &Fixture) -> bool {
        let rollout = self.cluster.rollout(set);
        let is_updated = pod.noted_hash(set) == rollout.hash;
        rollout.hot().all(|sidecar| {
            let [_, other] = pod.twins(&sidecar.name);
            if is_updated { pod.image_of(&other) == sidecar.empty_image } else { pod.image_of(&other).starts_with("empty") }
        })
    }

    /// Whether a pod serves, as far as a set is concerned: by what is true, not by what its annotations say.
    fn is_up(&self, set: &str, pod: &Fixture) -> bool {
        let containers = &self.cluster.rollout(set).containers;
        pod.is_ready() && containers.iter().all(|name| !pod.has_yet_to_start(name)) && self.is_at_rest(set, pod)
    }

    /// Pods that have come up, or are none of the set's any more, are not down because of us.
    fn settle_accounts(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        for (set, pods) in &mut taken {
            pods.retain(|name| self.cluster.pods.get(name).is_some_and(|pod| pod.is_active() && !self.is_up(set, pod)));
        }
        self.taken = taken;
    }

    fn matched(&self) -> impl Iterator<Item = &Fixture> {
        self.seen.values().filter(|pod| pod.is_active())
    }

    fn old(&self, set: &str) -> usize {
        let hash = self.cluster.rollout(set).hash.clone();
        self.matched().filter(|pod| pod.noted_hash(set) != hash).count()
    }

    /// How many may be down, and how many are to stay old.
    fn limits(&self, set: &str) -> (usize, usize) {
        let (strategy, matched) =
            (self.cluster.sets[set]["spec"].get("updateStrategy").cloned().unwrap_or_default(), self.matched().count());
        let share = |amount: &Value, default| match amount {
            Value::String(percent) => (percent.trim_end_matches('%').parse::<usize>().unwrap() * matched).div_ceil(100),
            number => number.as_u64().map_or(default, |number| usize::try_from(number).unwrap()),
        };
        let partition = share(&strategy["partition"], 0).min(matched);
        let leaves_none = matched > 1 && partition == matched && strategy["partition"].is_string() && strategy["partition"] != "100%";
        (share(&strategy["maxUnavailable"], 1), partition - usize::from(leaves_none))
    }

    fn check_numbers(&self, set: &str, plan: &Plan) {
        let hash = self.cluster.rollout(set).hash.clone();
        let mut expected = [0; 4];
        for pod in self.matched() {
            let (is_updated, is_up) = (pod.noted_hash(set) == hash, self.is_up(set, pod));
            for (number, counts) in expected.iter_mut().zip([true, is_updated, is_up, is_updated && is_up]) {
                *number += i64::from(counts);
            }
        }
        let status = plan.status.as_ref().map_or(&self.cluster.sets[set]["status"], |patch| &patch.body["status"]);
        let numbers =
            ["matchedPods", "updatedPods", "readyPods", "updatedReadyPods"].map(|member| status[member].as_i64().unwrap_or_default());
        assert_eq!(numbers, expected, "{set}{}", self.tale());
    }

    fn check_twins(&self) {
        for pod in self.cluster.pods.values() {
            for set in self.cluster.sets.keys() {
                for sidecar in self.cluster.rollout(set).hot() {
                    let [first, first_alt, second, second_alt] = pod.versions_of(&sidecar.name);
                    assert_eq!((first_alt, second_alt), (second, first), "{pod:?}");
                    let [working, other] = pod.twins(&sidecar.name);
                    assert!(!pod.image_of(&working).starts_with("empty"), "the twin that works is empty: {pod:?}");
                    let is_at_rest = pod.image_of(&other).starts_with("empty");
                    assert_eq!(pod.alternative(&working) == "0", is_at_rest, "{pod:?}");
                }
            }
        }
    }

    /// Faults end, and users want a good image with their last strategy: the rollout has to come to an end, and stay there.
    pub(super) fn calm_down(&mut self) {
        for name in self.cluster.pods.keys().cloned().collect::<Vec<_>>() {
            self.cluster.change(&name, |pod| pod.set_ready("main", true));
        }
        self.cluster.pods.retain(|_, pod| pod.is_active());
        for set in 0..self.cluster.sets.len() {
            let (strategy, image) = (self.setting.last[set].clone(), self.setting.image);
            self.edit(set, |sidecar, name| sidecar["image"] = format!("{name}:{image}").into());
            let set = self.nth_set(set);
            self.cluster.publish(&set, &json!({"updateStrategy": strategy}));
        }
        self.kubelets();
        self.give_up_on_what_no_rollout_mends();
        let sets: BTreeMap<String, usize> = self.cluster.sets.keys().map(|set| (set.clone(), self.old(set))).collect();
        for _ in 0..self.cluster.pods.len() * 8 + 8 {
            let before = self.cluster.version;
            for set in sets.keys() {
                self.learn_all();
                self.plan(set);
                self.settle_accounts();
                self.check_twins();
            }
            self.kubelets();
            if self.cluster.version == before {
                break;
            }
        }
        self.learn_all();
        for (set, old) in &sets {
            let plan = plan(&self.cluster.picture(set, self.seen.values()), &self.cluster.circumstances());
            assert!(plan.is_done(), "{set} has not come to an end: {plan:?}{}", self.tale());
            let rollout = self.cluster.rollout(set);
            let stuck = self.matched().filter(|pod| pod.noted_hash_without_image(set) != rollout.hash_without_image).count();
            assert_eq!(self.old(set), stuck.max(self.limits(set).1).min(*old), "{set} has updated others than it should{}", self.tale());
            for pod in self.matched().filter(|pod| pod.noted_hash(set) == rollout.hash) {
                assert!(self.is_up(set, pod), "{} is not up{}", pod.name(), self.tale());
            }
        }
    }

    /// Pods that are down and stay old are made anew by their owners; else they use up the budget for ever, as they should.
    fn give_up_on_what_no_rollout_mends(&mut self) {
        let sets: Vec<_> =
            self.cluster.sets.keys().map(|set| (set.clone(), self.cluster.rollout(set).hash_without_image.clone())).collect();
        self.learn_all();
        let has_partition = sets.iter().any(|(set, _)| self.limits(set).1 > 0);
        let stays = |pod: &Fixture| has_partition || sets.iter().any(|(set, hash)| pod.noted_hash_without_image(set) != *hash);
        self.cluster.pods.retain(|_, pod| pod.is_ready() || !stays(pod));
        self.learn_all();
        self.settle_accounts();
    }
}
