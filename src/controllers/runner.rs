//! The loop of the reconcilers: what is touched is looked at soon, each object by one reconcile at a time, and only while this
//! replica leads.
//!
//! A burst of events costs one plan: an object is looked at again no sooner than `PAUSE` after the last time. Everything that
//! is written is answered before the next plan of the same object is made, and is in the picture by then; so no plan counts on
//! what it cannot see, and a pod that is gone holds up nobody.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use kube::runtime::scheduler::scheduler;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Look, Planned, Planner,
    agenda::{Agenda, Done, PAUSE},
    desk::Desk,
};
use crate::{
    cluster::{
        apply::{Apply, Failure},
        events::Teller,
        lease::{Term, Work},
    },
    plan::{Action, Event, Key, Kind, Patch, Target, Task},
    telemetry::metrics::Metrics,
};

/// How soon an object is looked at again that asks for it.
const SOONEST: Duration = Duration::from_millis(100);
/// How many objects are reconciled at a time.
const OBJECTS: usize = 8;
/// What an API server says that lets no image of an init container be changed: the only thing we change that one may not know.
const FIXED: &str = "pod updates may not change fields";
/// How many requests of one plan are made before there is a new plan: who pauses a rollout wants to see it stop.
const AT_ONCE: usize = 500;
/// How many requests of one plan are under way at a time.
const REQUESTS: usize = 16;

/// Runs the reconcilers.
pub struct Runner {
    /// Makes plans.
    pub planner: Planner,
    /// Carries out plans.
    pub apply: Apply,
    /// Tells events.
    pub teller: Teller,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// What became of a task.
struct Outcome {
    action: Action,
    failure: Option<Failure>,
    /// To be told.
    event: Option<Event>,
}

impl Runner {
    /// Reconciles while `leadership` says that we lead, until `stop`. `touched` says which objects there may be work for.
    /// `is_synced` becomes true when everything that plans look at was listed once.
    pub async fn run(
        self,
        mut leadership: watch::Receiver<Option<Term>>,
        mut touched: mpsc::UnboundedReceiver<Key>,
        is_synced: impl Fn() -> bool,
        stop: CancellationToken,
    ) {
        loop {
            let term = leadership.borrow_and_update().clone();
            if let Some(term) = term.filter(Term::is_current) {
                while !is_synced() && term.is_current() && !stop.is_cancelled() {
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        // All objects are looked at when the lists are there.
                        key = touched.recv() => if key.is_none() { return },
                    }
                }
                self.lead(&term, &mut touched).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
                // Another leads: what happens is its work.
                key = touched.recv() => if key.is_none() { return },
            }
        }
    }

    /// Reconciles for one term. Returns when the term has ended and every request is answered.
    async fn lead(&self, term: &Term, touched: &mut mpsc::UnboundedReceiver<Key>) {
        let (mut agenda, incoming) = Agenda::new(self.metrics.queue.clone());
        let mut scheduler = pin!(scheduler(incoming));
        let mut running = FuturesUnordered::new();
        let mut desks: HashMap<Key, Desk> = HashMap::new();
        let everything = self.planner.all();
        tracing::info!(term = term.number(), objects = everything.len(), "reconciling");
        for key in everything {
            agenda.look_at(key, Instant::now());
        }
        loop {
            tokio::select! {
                () = term.ended().cancelled() => break,
                Some(key) = touched.recv() => agenda.look_at(key, Instant::now()),
                Some::<Done>(done) = running.next(), if !running.is_empty() => {
                    let key = done.key.clone();
                    if let Some(desk) = agenda.take_back(done) {
                        desks.insert(key, desk);
                    }
                }
                Some(key) = scheduler.next(), if running.len() < OBJECTS => {
                    let Some(work) = term.begin() else { break };
                    if !agenda.take(&key) {
                        continue;
                    }
                    let desk = desks.remove(&key).unwrap_or_else(|| Desk::of(&key));
                    running.push(self.reconcile(key, desk, term, work));
                }
            }
        }
        while running.next().await.is_some() {}
        self.metrics.pods_without_subset.set(0);
        tracing::info!(term = term.number(), "no longer reconciling");
    }

    /// Looks at one object: a plan, and what it wants done. `_work` keeps the lease until every answer is there.
    async fn reconcile(&self, key: Key, mut desk: Desk, term: &Term, _work: Work) -> Done {
        let started = Instant::now();
        let planned = match self.planned(&key, &mut desk).await {
            Ok(Some(planned)) => planned,
            Ok(None) => {
                self.metrics.pods_without_subset.inc_by(desk.strays(0));
                return Done { key, desk: None, again: None };
            }
            Err(failure) => {
                self.metrics.queue.failed(&key);
                tracing::warn!(?key, %failure, "what the plan depends on could not be found out");
                let again = Instant::now() + desk.failed();
                desk.rest(again);
                return Done { key, desk: Some(desk), again: Some(again) };
            }
        };
        let (again, events) = self.carry_out(&key, planned, &mut desk, term).await;
        self.tell(&events, term).await;
        self.metrics.queue.done(&key, started);
        Done { key, desk: Some(desk), again }
    }

    /// The plan. Where it depends on what the watch may not have told yet, it is made a second time, on pods that were listed for it:
    /// once in a term at least, for what an earlier leader did a moment ago.
    async fn planned(&self, key: &Key, desk: &mut Desk) -> Result<Option<Planned>, Failure> {
        let mut is_listed = false;
        loop {
            let now = Instant::now();
            let Some(planned) = self.planner.plan(key, desk, now).await? else { return Ok(None) };
            let changes_pods = planned.plan.each.iter().any(|task| about(&task.action).kind == Kind::POD);
            match &planned.look {
                Look::BeforeChanges(selector) if changes_pods && !desk.is_verified => self.apply.look_again(selector).await?,
                Look::First(namespace) if !desk.is_verified => self.look_at_namespace(namespace).await?,
                Look::Now(namespace) if !is_listed => self.look_at_namespace(namespace).await?,
                _ => return Ok(Some(planned)),
            }
            is_listed = true;
            desk.is_verified = true;
        }
    }

    async fn look_at_namespace(&self, namespace: &str) -> Result<(), Failure> {
        self.apply.look_at_namespace(namespace, (self.planner.wall)()).await
    }

    /// Does what a plan wants; says when to look again, and what is to be told.
    async fn carry_out(&self, key: &Key, planned: Planned, desk: &mut Desk, term: &Term) -> (Option<Instant>, Vec<Event>) {
        let Planned { plan, tally, .. } = planned;
        let mut events = Vec::new();
        for task in plan.first {
            let Some(Outcome { action, failure, event }) = self.task(task, term).await else { return (None, events) };
            events.extend(event);
            if let Some(failure) = failure {
                return (Some(self.troubles(key, &[(action, failure)], desk)), events);
            }
        }
        self.metrics.pods_without_subset.inc_by(desk.strays(tally.astray));
        let (due, mut failures) = self.write_status(plan.status, desk, term).await;
        if due.is_none() && failures.is_empty() {
            self.count_lapsed(key, plan.lapsed.saturating_add(tally.lapsed));
        }
        let is_cut = plan.each.len() > AT_ONCE;
        {
            let requests = plan.each.into_iter().take(AT_ONCE).map(|task| self.task(task, term));
            let mut outcomes = stream::iter(requests).buffer_unordered(REQUESTS);
            while let Some(outcome) = outcomes.next().await {
                let Some(Outcome { action, failure, event }) = outcome else { continue };
                events.extend(event);
                match failure {
                    Some(failure) => failures.push((action, failure)),
                    // As long as something is done, nobody has to wait for long.
                    None => desk.succeeded(),
                }
            }
        }
        events.extend(plan.events);
        let retry = if failures.is_empty() {
            desk.succeeded();
            None
        } else {
            Some(self.troubles(key, &failures, desk))
        };
        let rest = is_cut.then(Instant::now);
        let wanted = plan.again.map(|again| Instant::now() + Duration::try_from(again).unwrap_or_default().max(SOONEST));
        (earlier(earlier(due, retry), earlier(earlier(rest, wanted), desk.next_try(Instant::now()))), events)
    }

    fn count_lapsed(&self, key: &Key, lapsed: usize) {
        let kind = match key {
            Key::Budget { .. } => "budget",
            Key::Spread { .. } => "spread",
            Key::SidecarSet(_) | Key::Pod { .. } => return,
        };
        self.metrics.claims(kind).lapsed.inc_by(u64::try_from(lapsed).unwrap_or_default());
    }

    /// Tells what has happened, while we lead.
    async fn tell(&self, events: &[Event], term: &Term) {
        if !events.is_empty() && term.is_current() {
            tokio::select! {
                () = self.teller.tell(events, (self.planner.wall)()) => {}
                () = term.ended().cancelled() => {}
            }
        }
    }

    /// What became of a task; none if the term has ended.
    async fn task(&self, task: Task, term: &Term) -> Option<Outcome> {
        if !term.is_current() {
            return None;
        }
        match self.apply.carry_out(&task.action, term).await {
            Ok(()) => {
                if about(&task.action).kind == Kind::POD {
                    let is_deletion = matches!(task.action, Action::Delete { .. });
                    if is_deletion { &self.metrics.pods_moved } else { &self.metrics.pod_changes }.inc();
                }
                Some(Outcome { action: task.action, failure: None, event: task.done })
            }
            Err(failure) => {
                let event = failed_event(&task, &failure);
                Some(Outcome { action: task.action, failure: Some(failure), event })
            }
        }
    }

    /// Writes the status if it is time. Gives when it is time otherwise, and what went wrong.
    async fn write_status(&self, status: Option<Patch>, desk: &mut Desk, term: &Term) -> (Option<Instant>, Vec<(Action, Failure)>) {
        let Some(status) = status.filter(|_| term.is_current()) else { return (None, Vec::new()) };
        let now = Instant::now();
        let due = desk.status_due(&status.body, now);
        if due > now {
            return (Some(due), Vec::new());
        }
        let body = status.body.clone();
        let action = Action::Patch(status);
        match self.apply.carry_out(&action, term).await {
            Ok(()) => {
                desk.wrote_status(&body, now);
                (None, Vec::new())
            }
            Err(failure) => {
                desk.tried_status(now);
                (None, vec![(action, failure)])
            }
        }
    }

    /// Remembers failures; says when to look again.
    fn troubles(&self, key: &Key, failures: &[(Action, Failure)], desk: &mut Desk) -> Instant {
        for (action, failure) in failures {
            self.trouble(key, action, failure, desk);
        }
        // One that was outdated may be outdated by something that touches nobody.
        let again = Instant::now() + desk.failed();
        if failures.iter().any(|(action, failure)| wants_peace(action, failure)) {
            desk.rest(again);
        }
        again
    }

    /// Remembers a failure.
    fn trouble(&self, key: &Key, action: &Action, failure: &Failure, desk: &mut Desk) {
        let target = about(action);
        match failure {
            // A new plan is made on what is true then.
            Failure::Outdated(_) => {
                tracing::debug!(?key, kind = target.kind.kind, namespace = %target.namespace, name = %target.name, %failure, "outdated");
                return;
            }
            Failure::Invalid(problem) if problem.contains(FIXED) && changes_native(action) => desk.leave_native(Instant::now()),
            Failure::Refused(_) | Failure::Invalid(_) if target.kind == Kind::POD => desk.refuse(&target.uid, Instant::now()),
            // It may have been done: look before anything else is. And whatever it was, let another pod have its turn.
            Failure::Unknown(_) if target.kind == Kind::POD => {
                desk.is_verified = false;
                desk.refuse(&target.uid, Instant::now());
            }
            Failure::Refused(_) | Failure::Invalid(_) | Failure::Busy(_) | Failure::Unknown(_) => {}
        }
        self.metrics.queue.failed(key);
        tracing::warn!(?key, kind = target.kind.kind, namespace = %target.namespace, name = %target.name, %failure, "not done");
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// The object that a request is about.
const fn about(action: &Action) -> &Target {
    match action {
        Action::Create { target, .. } | Action::Compose { target, .. } | Action::Delete { target, .. } => target,
        Action::Patch(patch) => &patch.target,
    }
}

/// Whether it would be the same again, whatever happens to the object meanwhile. Refused pods are left alone one by one, and statuses are
/// not written often anyway.
fn wants_peace(action: &Action, failure: &Failure) -> bool {
    match failure {
        Failure::Busy(_) | Failure::Unknown(_) => true,
        Failure::Refused(_) | Failure::Invalid(_) => matches!(action, Action::Create { .. }),
        Failure::Outdated(_) => false,
    }
}

/// Whether images of native sidecars are changed, as far as can be seen.
fn changes_native(action: &Action) -> bool {
    match action {
        Action::Patch(patch) => patch.body.pointer("/spec/initContainers").is_some(),
        Action::Compose { .. } => true,
        Action::Create { .. } | Action::Delete { .. } => false,
    }
}

/// What is told of a request that was refused.
fn failed_event(task: &Task, failure: &Failure) -> Option<Event> {
    let event = task.failed.clone().filter(|_| matches!(failure, Failure::Refused(_) | Failure::Invalid(_)))?;
    Some(Event { note: format!("{}: {failure}", event.note), ..event })
}
