//! One replica: its picture, which is behind; the turns of its claims, as `cluster::claims` takes them; and its plans, if it leads.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use outrigger::{
    admission::{
        ask::{Answer, Question},
        claim::{Taken, Waiting, fold},
        review,
        verdict::Outcome,
    },
    base::{interned::Interner, observed::Wire},
    budget::{guard::Take, index::Budget, plan::plan},
    handlers::{Claim, Verdict, guard},
    state::{State, pods::Observed},
};
use serde_json::{Value, json};

use super::api::{Api, Told, moment};

/// A request that waits for what it claims.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// What is left to be taken, in order, and whether that is only tried.
    pub(crate) steps: VecDeque<(Take, bool)>,
}

/// What a replica says at once.
pub(crate) enum Said {
    Passes,
    Refused,
    Waits(Pending),
}

/// A turn of claims over one budget.
pub(crate) struct Turn {
    pub(crate) requests: Vec<Pending>,
    /// What it folds over; none before it was read.
    pub(crate) known: Option<Arc<Budget>>,
    pub(crate) is_live: bool,
    /// What is being written, and what was decided then.
    pub(crate) write: Option<(Value, Vec<Taken<()>>)>,
}

/// What a turn wants next.
pub(crate) enum Next {
    Write,
    Read,
    Done(Vec<Taken<()>>),
}

#[derive(Default)]
pub(crate) struct Replica {
    state: State,
    pods_heard: usize,
    budgets_heard: usize,
    pub(crate) queues: BTreeMap<String, Vec<Pending>>,
    pub(crate) turns: BTreeMap<String, Turn>,
    /// The status that it has decided to write, by budget.
    pub(crate) plans: BTreeMap<String, Value>,
    /// How far its clock is off, in milliseconds.
    pub(crate) skew: i64,
}

impl Replica {
    /// A replica that has just listed everything.
    pub(crate) fn start(api: &Api, skew: i64) -> Self {
        let mut new = Self { skew, pods_heard: api.pod_events.len(), budgets_heard: api.budget_events.len(), ..Self::default() };
        new.state.observe_all_pods(api.pods.values().map(observed).collect());
        new.state.reset_budgets(api.budgets.values().map(|budget| serde_json::from_value(budget.clone()).unwrap()).collect());
        new
    }

    fn now(&self, at: i64) -> Timestamp {
        moment(at + self.skew)
    }

    /// When what it hears next of pods and of budgets became so.
    pub(crate) fn unheard(&self, api: &Api) -> [Option<i64>; 2] {
        let at = |events: &[Told], heard: usize| events.get(heard).map(|told| told.at);
        [at(&api.pod_events, self.pods_heard), at(&api.budget_events, self.budgets_heard)]
    }

    pub(crate) fn hear_of_pods(&mut self, api: &Api) {
        let Some(told) = api.pod_events.get(self.pods_heard) else { return };
        self.pods_heard += 1;
        match &told.object {
            Some(pod) => self.state.observe_pod(observed(pod)),
            None => self.state.delete_pod("shop", &told.name),
        }
    }

    pub(crate) fn hear_of_budgets(&mut self, api: &Api) {
        let Some(told) = api.budget_events.get(self.budgets_heard) else { return };
        self.budgets_heard += 1;
        self.state.apply_budget(serde_json::from_value(told.object.clone().unwrap()).unwrap());
    }

    /// Asks the guard. Of a deletion the stored pod comes along; of an eviction the API server is asked for it, if need be.
    pub(crate) fn ask(&self, api: &Api, name: &str, is_eviction: bool, at: i64) -> Said {
        let pod = &api.pods[name];
        let mut request = json!({"uid": "u", "operation": "DELETE", "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "name": name, "oldObject": pod, "options": {}});
        if is_eviction {
            request["operation"] = json!("CREATE");
            request["subResource"] = json!("eviction");
            request["oldObject"] = Value::Null;
            request["object"] = json!({"kind": "Eviction"});
        }
        let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
        let mut verdict = guard::validate(&review::read(body.as_bytes()).unwrap(), &self.state.snapshot(), self.now(at));
        loop {
            match verdict {
                Verdict::Decided(decision) => {
                    return if matches!(decision.outcome, Outcome::Allow(_)) { Said::Passes } else { Said::Refused };
                }
                Verdict::Ask(ask) => {
                    assert!(matches!(ask.questions[..], [Question::Pod { .. }]));
                    verdict = ask.settle(vec![Answer::Found(pod.to_string())], &self.state.snapshot(), self.now(at));
                }
                Verdict::Claim(claims) => {
                    let takes: Vec<_> = claims
                        .claims
                        .into_iter()
                        .map(|claim| match claim {
                            Claim::Budget(take) => take,
                            other @ Claim::Spread(_) => panic!("{other:?}"),
                        })
                        .collect();
                    let trials = takes.iter().filter(|_| takes.len() > 1).cloned().map(|take| (take, true));
                    let steps = trials.chain(takes.iter().cloned().map(|take| (take, false))).collect();
                    let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
                    return Said::Waits(Pending { pod: name.to_owned(), uid, steps });
                }
            }
        }
    }

    pub(crate) fn queue(&mut self, pending: Pending) {
        let budget = pending.steps[0].0.budget.to_string();
        self.queues.entry(budget).or_default().push(pending);
    }

    /// Begins the turn of all that wait for a budget.
    pub(crate) fn begin(&mut self, budget: &str) {
        if self.turns.contains_key(budget) {
            return;
        }
        let Some(requests) = self.queues.remove(budget) else { return };
        let known = self.state.snapshot().budgets.get("shop", budget).cloned();
        self.turns.insert(budget.to_owned(), Turn { requests, known, is_live: false, write: None });
    }

    /// Folds; says what comes next.
    pub(crate) fn fold(&mut self, budget: &str, at: i64) -> Next {
        let now = self.now(at);
        let turn = self.turns.get_mut(budget).unwrap();
        let Some(before) = &turn.known else { return Next::Read };
        let mut after = Budget::clone(before);
        let waiting = turn.requests.iter().map(|pending| Waiting { claim: &pending.steps[0].0, is_trial: pending.steps[0].1 });
        let taken = fold(&mut after, waiting, now);
        if after != **before {
            turn.write = Some((after.claim_patch(before), taken));
            Next::Write
        } else if turn.is_live {
            Next::Done(taken)
        } else {
            Next::Read
        }
    }

    /// The answer to a read.
    pub(crate) fn read(&mut self, api: &Api, budget: &str) {
        let live = Budget::compile(serde_json::from_value(api.budgets[budget].clone()).unwrap());
        self.state.assume_budget(live.clone());
        let turn = self.turns.get_mut(budget).unwrap();
        (turn.known, turn.is_live) = (Some(Arc::new(live)), true);
    }

    /// The answer to a write.
    pub(crate) fn assume(&mut self, budget: &Value) {
        self.state.assume_budget(Budget::compile(serde_json::from_value(budget.clone()).unwrap()));
    }

    /// Decides on a status, from what is known now.
    pub(crate) fn plan(&mut self, budget: &str, at: i64) {
        let Some(picture) = self.state.snapshot().picture_of_budget("shop", budget) else { return };
        let status = plan(&picture, self.now(at)).status;
        match status {
            Some(patch) => drop(self.plans.insert(budget.to_owned(), patch.body)),
            None => drop(self.plans.remove(budget)),
        }
    }
}

fn observed(pod: &Value) -> Observed {
    let wire: Wire = serde_json::from_str(&pod.to_string()).unwrap();
    Observed::read(&wire, &mut Interner::default())
}
