//! The reconcilers: which objects are looked at when, by whom, and what becomes of a plan. Only the leader runs them.

mod agenda;
pub mod budgets;
pub mod certificates;
pub mod desk;
pub mod pods;
pub mod protection;
pub mod runner;
pub mod spreads;

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::time::Instant;

use self::desk::Desk;
use crate::{
    base::{observed::Pod, selector::Selector},
    cluster::{apply::Failure, facts::Facts},
    plan::{Action, Key, Patch, Plan, Task},
    sidecarset::{
        member::Member,
        plan::{self, Circumstances, Picture},
    },
    spread::plan::Tally,
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
    /// What has to be looked at before it is carried out.
    pub look: Look,
    /// What is counted of spreads.
    pub tally: Tally,
}

/// What has to be looked at before a plan is carried out: the API server knows more than the watch has told.
#[derive(Debug, Default)]
pub enum Look {
    /// Nothing.
    #[default]
    Needless,
    /// The pods that this selects, where the plan changes pods: once in a term, for what an earlier leader did to them.
    BeforeChanges(Selector),
    /// The pods of this namespace: once in a term.
    First(Arc<str>),
    /// The pods of this namespace, now.
    Now(Arc<str>),
}

impl Planned {
    /// A plan for which nothing has to be looked at.
    fn of(plan: Plan) -> Self {
        Self { plan, look: Look::Needless, tally: Tally::default() }
    }
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
            return Ok(plan.map(|plan| Planned::of(without_refused(plan, desk, now))));
        }
        if let Key::Spread { namespace, name } = key {
            let made = spreads::planned(&self.state, &self.facts, [namespace, name], || (self.wall)()).await?;
            return Ok(made.map(|spreads::Made { plan, tally, look }| Planned {
                plan: without_refused(plan, desk, now),
                look: look.map_or_else(|| Look::First(Arc::clone(namespace)), Look::Now),
                tally,
            }));
        }
        match self.subject(key) {
            None => Ok(None),
            Some(Subject::SidecarSet(picture)) => Ok(Some(self.plan_set(&picture, desk, now))),
            Some(Subject::FinishedPod(pod)) => {
                let plan = pods::plan(&pod, &self.facts, (self.wall)()).await?;
                Ok(Some(Planned::of(plan)))
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
        let look = picture.rollout.selector.clone().map_or(Look::Needless, Look::BeforeChanges);
        Planned { plan: plan::plan(picture, &circumstances), look, tally: Tally::default() }
    }
}

/// The plan without the pods that the API server refused to change a moment ago.
fn without_refused(mut plan: Plan, desk: &Desk, now: Instant) -> Plan {
    let is_refused = |task: &Task| match &task.action {
        Action::Patch(Patch { target, .. }) | Action::Delete { target, .. } => desk.is_refused(&target.uid, now),
        Action::Create { .. } | Action::Compose { .. } => false,
    };
    plan.each.retain(|task| !is_refused(task));
    plan
}
