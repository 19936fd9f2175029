//! Whose a pod is, as far as spreads look: through Jobs as well, which nobody else counts.

use std::sync::Arc;

use super::{Snapshot, State, spreads, workloads::Workloads};
use crate::{
    base::workload::{Owner, Workload},
    spread::index::Spread,
};

/// How many workloads above each other are followed; nobody builds so high.
const HIGHEST: usize = 8;

/// Whose something is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage {
    /// Its controller, the controller of that, and so on, as far as known.
    pub owners: Vec<Owner>,
    /// The last of them is known, and belongs to nobody.
    pub is_whole: bool,
}

impl Lineage {
    /// Follows a controller upwards.
    fn of(known: [&Workloads; 2], namespace: &str, owner: &Owner) -> Self {
        let mut owners: Vec<Owner> = Vec::new();
        let mut next = Some(owner.clone());
        let mut is_whole = true;
        while let Some(owner) = next.filter(|owner| owners.len() < HIGHEST && !owners.iter().any(|known| known.is_same(owner))) {
            let workload = known.iter().find_map(|workloads| workloads.get(namespace, &owner));
            is_whole = workload.is_some();
            next = workload.and_then(|workload| workload.controller.clone());
            owners.push(owner);
        }
        Self { owners, is_whole }
    }
}

impl State {
    /// A Job was made or changed. One that has ended is forgotten: there may be many, and none of them makes a pod any more.
    pub fn apply_job(&mut self, job: Workload) {
        if job.has_ended {
            return self.delete_job(&job.namespace, &job.identity.name);
        }
        let versions = self.jobs.apply(job);
        self.touch_spreads_of(&versions);
    }

    /// A Job is gone.
    pub fn delete_job(&mut self, namespace: &str, name: &str) {
        if let Some(gone) = self.jobs.remove(namespace, &["batch".into(), "Job".into(), name.into()]) {
            self.touch_spreads_of(&[gone]);
        }
    }

    /// These are all Jobs.
    pub fn reset_jobs(&mut self, all: Vec<Workload>) {
        self.jobs = Workloads::default();
        for job in all.into_iter().filter(|job| !job.has_ended) {
            self.jobs.apply(job);
        }
        self.touch_all_spreads();
    }

    pub(super) fn lineage(&self, namespace: &str, owner: &Owner) -> Lineage {
        Lineage::of([&self.workloads, &self.jobs], namespace, owner)
    }

    /// Versions of one workload make work for the spreads that name it or something above it.
    pub(super) fn touch_spreads_of(&mut self, versions: &[Arc<Workload>]) {
        let Some(namespace) = versions.first().map(|workload| Arc::clone(&workload.namespace)) else { return };
        if !self.spreads.is_any_in(&namespace) {
            return;
        }
        let mut owners: Vec<Owner> = versions.iter().map(|workload| workload.identity.clone()).collect();
        for above in versions.iter().filter_map(|workload| workload.controller.as_ref()) {
            owners.extend(self.lineage(&namespace, above).owners);
        }
        self.touch_spreads_in(&namespace, |spread| {
            spread.rules.target.as_ref().is_some_and(|target| owners.iter().any(|owner| target.is(owner)))
        });
    }

    /// The spreads of a namespace that are like this may have work.
    pub(super) fn touch_spreads_in(&mut self, namespace: &str, is_touched: impl Fn(&Spread) -> bool) {
        let touched = self.spreads.of_namespace(namespace).filter(|spread| is_touched(spread));
        let keys: Vec<_> = touched.map(|spread| spreads::key(&spread.namespace, &spread.name)).collect();
        self.touched.extend(keys);
    }

    /// All spreads may have work.
    pub(super) fn touch_all_spreads(&mut self) {
        let keys: Vec<_> = self.spreads.all().map(|spread| spreads::key(&spread.namespace, &spread.name)).collect();
        self.touched.extend(keys);
    }
}

impl Snapshot<'_> {
    /// Whose something is that belongs to `owner`, from that upwards: through Jobs as well.
    pub fn lineage(&self, namespace: &str, owner: &Owner) -> Lineage {
        Lineage::of([self.workloads, self.jobs], namespace, owner)
    }

    /// A workload of a kind that is mirrored, Jobs among them.
    pub fn workload(&self, namespace: &str, owner: &Owner) -> Option<&Arc<Workload>> {
        self.workloads.get(namespace, owner).or_else(|| self.jobs.get(namespace, owner))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{plan::Key, spread::api::WorkloadSpread};

    fn owner(group: &str, kind: &str, name: &str) -> Owner {
        Owner { group: group.into(), version: "v1".into(), kind: kind.into(), name: name.into(), uid: "".into() }
    }

    fn job(name: &str, controller: Option<Owner>) -> Workload {
        Workload { namespace: "shop".into(), identity: owner("batch", "Job", name), controller, ..Workload::default() }
    }

    fn state() -> State {
        let mut state = State::default();
        let target = json!({"apiVersion": "example.com/v2", "kind": "Flow", "name": "f"});
        let spread = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"namespace": "shop", "name": "s"},
            "spec": {"targetRef": target, "subsets": []}});
        state.apply_spread(serde_json::from_value::<WorkloadSpread>(spread).unwrap());
        state.take_touched();
        state
    }

    #[test]
    fn a_pod_of_a_job_belongs_to_what_the_job_belongs_to() {
        let mut state = state();
        let (flow, one) = (owner("example.com", "Flow", "f"), owner("batch", "Job", "one"));
        let of = |owners: &[&Owner], is_whole| Lineage { owners: owners.iter().copied().cloned().collect(), is_whole };
        assert_eq!(state.lineage("shop", &one), of(&[&one], false));
        state.apply_job(job("one", Some(flow.clone())));
        assert_eq!(state.lineage("shop", &one), of(&[&one, &flow], false), "nothing is known of flows");
        state.apply_job(job("one", None));
        assert_eq!(state.lineage("shop", &one), of(&[&one], true));
    }

    #[test]
    fn a_job_makes_work_for_the_spread_of_what_is_above_it_until_it_has_ended() {
        let mut state = state();
        let flow = || Some(owner("example.com", "Flow", "f"));
        let key = Key::Spread { namespace: "shop".into(), name: "s".into() };
        state.apply_job(job("one", flow()));
        assert!(state.take_touched().contains(&key));
        state.apply_job(job("one", flow()));
        state.apply_job(job("other", None));
        assert!(state.take_touched().is_empty());
        state.apply_job(Workload { has_ended: true, ..job("one", flow()) });
        assert!(state.take_touched().contains(&key) && state.jobs.get("shop", &owner("batch", "Job", "one")).is_none());
        state.reset_jobs(vec![job("new", None), Workload { has_ended: true, ..job("old", None) }]);
        let known = ["new", "other", "old"].map(|name| state.snapshot().workload("shop", &owner("batch", "Job", name)).is_some());
        assert_eq!(known, [true, false, false]);
        assert!(state.take_touched().contains(&key));
    }

    #[test]
    fn owners_that_own_each_other_are_followed_once() {
        let mut state = state();
        state.apply_job(job("a", Some(owner("batch", "Job", "b"))));
        state.apply_job(job("b", Some(owner("batch", "Job", "a"))));
        assert_eq!(state.lineage("shop", &owner("batch", "Job", "a")).owners.len(), 2);
    }
}
