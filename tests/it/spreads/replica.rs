//! One replica: its picture, which is behind; the turns of its claims, as `cluster::claims` takes them; and its plans, if it leads.

use std::sync::Arc;

use jiff::Timestamp;
use outrigger::{
    admission::{
        claim::{Taken, Waiting, fold},
        review,
        verdict::{Decision, Outcome},
    },
    base::{
        interned::Interner,
        observed::Wire,
        workload::{self, Workload},
    },
    handlers::{Claim, Claims, Gain, Verdict, guard, pod},
    spread::{
        claim::{Place, Take},
        index::Spread,
        plan::{needs_list, plan},
    },
    state::{State, pods::Observed},
};
use serde_json::{Value, json};

use super::api::{Api, Told, moment};

/// A request that waits for what it claims.
pub(crate) struct Pending {
    /// The pod that it is about, as it came.
    pub(crate) pod: Value,
    pub(crate) take: Take,
    pub(crate) claims: Claims,
}

/// What a replica says at once.
pub(crate) enum Said {
    Decided(Decision),
    Waits(Box<Pending>),
}

/// A turn of claims.
pub(crate) struct Turn {
    pub(crate) requests: Vec<Pending>,
    /// What it folds over.
    known: Arc<Spread>,
    is_live: bool,
    /// What is being written, and what was decided then.
    pub(crate) write: Option<(Value, Vec<Taken<Option<Place>>>)>,
}

/// What a turn wants next.
pub(crate) enum Next {
    Write,
    Read,
    Done(Vec<Taken<Option<Place>>>),
}

#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) state: State,
    pods_heard: usize,
    spreads_heard: usize,
    pub(crate) queue: Vec<Pending>,
    pub(crate) turn: Option<Turn>,
    /// How far its clock is off, in milliseconds.
    skew: i64,
}

impl Replica {
    /// A replica that has just listed everything.
    pub(crate) fn start(api: &Api, skew: i64) -> Self {
        let mut new = Self { skew, pods_heard: api.pod_events.len(), spreads_heard: api.spread_events.len(), ..Self::default() };
        for (kind, name, above) in [("Deployment", "web", None), ("ReplicaSet", "web-1", Some("web")), ("ReplicaSet", "web-2", Some("web"))]
        {
            let owners: Vec<_> = above
                .into_iter()
                .map(|name| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": name, "controller": true}))
                .collect();
            let object =
                json!({"metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": owners}, "spec": {"replicas": 10}});
            let wire: workload::Wire = serde_json::from_str(&object.to_string()).unwrap();
            new.state.apply_workload(Workload::read(&wire, ["apps", "v1", kind], &mut Interner::default()));
        }
        new.state.reset_spreads(vec![serde_json::from_value(api.spread.clone()).unwrap()]);
        new.state.observe_all_pods(api.pods.values().map(observed).collect());
        new
    }

    pub(crate) fn now(&self, at: i64) -> Timestamp {
        moment(at + self.skew)
    }

    /// When what it hears next of pods and of the spread became so.
    pub(crate) fn unheard(&self, api: &Api) -> [Option<i64>; 2] {
        let at = |events: &[Told], heard: usize| events.get(heard).map(|told| told.at);
        [at(&api.pod_events, self.pods_heard), at(&api.spread_events, self.spreads_heard)]
    }

    pub(crate) fn hear_of_pods(&mut self, api: &Api) {
        let Some(told) = api.pod_events.get(self.pods_heard) else { return };
        self.pods_heard += 1;
        match &told.object {
            Some(pod) => self.state.observe_pod(observed(pod)),
            None => self.state.delete_pod("shop", &told.name),
        }
    }

    pub(crate) fn hear_of_spreads(&mut self, api: &Api) {
        let Some(told) = api.spread_events.get(self.spreads_heard) else { return };
        self.spreads_heard += 1;
        self.state.apply_spread(serde_json::from_value(told.object.clone().unwrap()).unwrap());
    }

    /// Asks where a new pod belongs. `id` is the review's.
    pub(crate) fn place(&self, pod: &Value, id: &str, is_dry_run: bool, at: i64) -> Said {
        let request = json!({"uid": id, "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "object": pod, "options": {}, "dryRun": is_dry_run});
        self.asked(pod, &request, at, pod::mutate)
    }

    /// Asks whether a pod may go.
    pub(crate) fn remove(&self, pod: &Value, at: i64) -> Said {
        let request = json!({"uid": "u", "operation": "DELETE", "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop", "name": pod["metadata"]["name"], "oldObject": pod, "options": {}});
        self.asked(pod, &request, at, guard::validate)
    }

    fn asked(&self, pod: &Value, request: &Value, at: i64, handler: outrigger::handlers::Handler) -> Said {
        let body = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string();
        match handler(&review::read(body.as_bytes()).unwrap(), &self.state.snapshot(), self.now(at)) {
            Verdict::Decided(decision) => Said::Decided(decision),
            Verdict::Ask(ask) => panic!("nothing has to be asked: {ask:?}"),
            Verdict::Claim(claims) => match &claims.claims[..] {
                [Claim::Spread(take)] => Said::Waits(Box::new(Pending { pod: pod.clone(), take: take.clone(), claims })),
                other => panic!("{other:?}"),
            },
        }
    }

    /// Begins a turn for those who wait, unless there is one.
    pub(crate) fn begin(&mut self) {
        if self.turn.is_none() && !self.queue.is_empty() {
            let known = Arc::clone(self.state.snapshot().spreads.get("shop", "ws").unwrap());
            self.turn = Some(Turn { requests: std::mem::take(&mut self.queue), known, is_live: false, write: None });
        }
    }

    /// Folds; says what comes next.
    pub(crate) fn fold(&mut self, at: i64) -> Next {
        let now = self.now(at);
        let turn = self.turn.as_mut().unwrap();
        let mut after = Spread::clone(&turn.known);
        let waiting = turn.requests.iter().map(|pending| Waiting { claim: &pending.take, is_trial: pending.claims.is_dry_run });
        let taken = fold(&mut after, waiting, now);
        if after != *turn.known {
            turn.write = Some((after.claim_patch(&turn.known), taken));
            Next::Write
        } else if turn.is_live || taken.iter().all(|taken| matches!(taken, Taken::Held(_))) {
            Next::Done(taken)
        } else {
            Next::Read
        }
    }

    /// The answer to a read.
    pub(crate) fn read(&mut self, api: &Api) {
        let live = Spread::compile(serde_json::from_value(api.spread.clone()).unwrap());
        self.state.assume_spread(live.clone());
        let turn = self.turn.as_mut().unwrap();
        (turn.known, turn.is_live) = (Arc::new(live), true);
    }

    /// The answer to a write.
    pub(crate) fn assume(&mut self, spread: &Value) {
        self.state.assume_spread(Spread::compile(serde_json::from_value(spread.clone()).unwrap()));
    }

    /// What becomes of a pod whose place is settled; `None` if the request was refused.
    pub(crate) fn settle(&self, claims: Claims, gain: Option<Place>, pod: &Value, at: i64) -> Option<Value> {
        let decision = claims.settle(vec![Gain::Place(gain)], &self.state.snapshot(), self.now(at));
        patched(decision, pod)
    }

    /// How often the pods were counted, as far as known.
    pub(crate) fn counted(&self) -> i64 {
        self.state.snapshot().spreads.get("shop", "ws").unwrap().status.counted
    }

    /// Lists the pods, as a new leader does before its first plan: what has happened may not have come through the watch yet.
    pub(crate) fn list(&mut self, api: &Api, at: i64) {
        let listing = self.state.begin_listing("shop");
        let pods = api.pods.values().map(|pod| {
            let wire: Wire = serde_json::from_str(&pod.to_string()).unwrap();
            outrigger::spread::pod::Pod::read(&wire, &mut Interner::default())
        });
        assert!(self.state.end_listing(listing, pods.collect(), self.now(at)));
    }

    /// The status that it would write, from what is known now. What must not be done on the word of the watch alone waits for a list.
    pub(crate) fn plan(&mut self, api: &Api, at: i64) -> Option<Value> {
        let now = self.now(at);
        let picture = self.state.snapshot().picture_of_spread("shop", "ws")?;
        if needs_list(&picture, now) {
            self.list(api, at);
        }
        let picture = self.state.snapshot().picture_of_spread("shop", "ws")?;
        plan(&picture, now).status.map(|patch| patch.body)
    }
}

/// The pod as the decision makes it; `None` if it is refused.
pub(crate) fn patched(decision: Decision, pod: &Value) -> Option<Value> {
    let Outcome::Allow(edits) = decision.outcome else { return None };
    let mut after = pod.clone();
    json_patch::patch(&mut after, &serde_json::from_str::<json_patch::Patch>(&edits.to_json_patch()).unwrap()).unwrap();
    Some(after)
}

fn observed(pod: &Value) -> Observed {
    let wire: Wire = serde_json::from_str(&pod.to_string()).unwrap();
    Observed::read(&wire, &mut Interner::default())
}
