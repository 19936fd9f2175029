//! The reconcilers: which objects are looked at when, by whom, and what becomes of a plan. Only the leader runs them.

pub mod budgets;
pub mod desk;
pub mod pods;
pub mod protection;
pub mod runner;

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::time::Instant;

use self::desk::Desk;
use crate::{
    base::{observed::Pod, selector::Selector},
    cluster::{apply::Failure, facts::Facts},
    plan::{Action, Key, Plan, Task},
    sidecarset::{
        member::Member,
        plan::{self, Circumstances, Picture},
    },
    state::State,
};

/// Makes the plans of all features.
pub struct Planner {
    /// The picture of the cluster.
    pub state: Arc<RwLock<State>>,
    /// What is not in it.
    pub facts: Facts,
    /// Where revisions are kept.
    pub own_namespace: String,
    /// The clock on the wall.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A plan, and what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Selects the pods that the plan was made from, where it depends on what an earlier leader did to them.
    pub pods: Option<Selector>,
}

/// What a plan is made from, taken from the picture at one moment.
enum Subject {
    SidecarSet(Picture),
    FinishedPod(Arc<Pod>),
}

impl Planner {
    /// All objects that are reconciled.
    pub fn all(&self) -> Vec<Key> {
        self.state.read().snapshot().all_keys().collect()
    }

    /// The plan for an object; `None` if there is no such object. `desk` says of pods, by their uids, whether the API server
    /// refused to change it a moment ago. Fails if the API server has to be asked and does not answer.
    pub async fn plan(&self, key: &Key, desk: &Desk, now: Instant) -> Result<Option<Planned>, Failure> {
        if let Key::Budget { namespace, name } = key {
            let plan = budgets::planned(&self.state, &self.facts, [namespace, name], || (self.wall)()).await;
            return Ok(plan.map(|plan| Planned { plan: without_refused(plan, desk, now), pods: None }));
        }
        match self.subject(key) {
            None => Ok(None),
            Some(Subject::SidecarSet(picture)) => Ok(Some(self.plan_set(&picture, desk, now))),
            Some(Subject::FinishedPod(pod)) => {
                let plan = pods::plan(&pod, &self.facts, (self.wall)()).await?;
                Ok(Some(Planned { plan, pods: None }))
            }
        }
    }

    fn subject(&self, key: &Key) -> Option<Subject> {
        let state = self.state.read();
        match key {
            Key::SidecarSet(name) => state.snapshot().picture_of(name).map(Subject::SidecarSet),
            Key::Pod { .. } => state.snapshot().finished_pod(key).map(Subject::FinishedPod),
            Key::Budget { .. } | Key::Spread { .. } => None,
        }
    }

    fn plan_set(&self, picture: &Picture, desk: &Desk, now: Instant) -> Planned {
        let circumstances = Circumstances {
            own_namespace: &self.own_namespace,
            is_refused: &|member: &Member| desk.is_refused(&member.pod.uid, now),
            may_change_native: desk.may_change_native(now),
            now: (self.wall)(),
        };
        Planned { plan: plan::plan(picture, &circumstances), pods: picture.rollout.selector.clone() }
    }
}

/// The plan without the pods that the API server refused to change a moment ago.
fn without_refused(mut plan: Plan, desk: &Desk, now: Instant) -> Plan {
    let is_refused = |task: &Task| matches!(&task.action, Action::Patch(patch) if desk.is_refused(&patch.target.uid, now));
    plan.each.retain(|task| !is_refused(task));
    plan
}
