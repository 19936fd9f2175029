//! Ends protections whose time has come: the leader has a clock, a policy has none.
//!
//! What is protected until a time is looked for every few seconds, among the kinds that we may change. An object whose time comes
//! before the next look is waited for.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::core::ObjectMeta;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{apply::Failure, events::Teller, lease::Term, protected::Protected},
    plan::{Event, Kind, Target, reporter},
    protection::{
        keys::{LABEL, UNTIL},
        kind,
        until::{self, Until},
    },
};

/// How long between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// How long at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Ends protections.
pub struct Lifter {
    /// Finds the objects, and takes their labels off.
    pub protected: Protected,
    /// Tells events.
    pub teller: Teller,
    /// The clock on the wall.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// What one term remembers.
#[derive(Default)]
struct Memory {
    /// Kinds that cannot be listed, which was said.
    given_up: BTreeSet<(&'static str, &'static str)>,
    /// Ends that cannot be read, which was told: uids with the text.
    told: BTreeSet<(String, String)>,
}

impl Lifter {
    /// Ends protections while `leadership` says that we lead, until `stop`.
    pub async fn run(self, mut leadership: watch::Receiver<Option<Term>>, stop: CancellationToken) {
        loop {
            let term = leadership.borrow_and_update().clone();
            if let Some(term) = term.filter(Term::is_current) {
                self.lead(&term).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ends protections for one term.
    async fn lead(&self, term: &Term) {
        let mut memory = Memory::default();
        loop {
            let mut next = EVERY;
            for kind in kinds() {
                let Some(_work) = term.begin() else { return };
                next = next.min(self.look_at(kind, term, &mut memory).await);
            }
            tokio::select! {
                () = term.ended().cancelled() => return,
                () = tokio::time::sleep(next.max(PAUSE)) => {}
            }
        }
    }

    /// Looks at the objects of one kind; says after how long to look again.
    async fn look_at(&self, kind: Kind, term: &Term, memory: &mut Memory) -> Duration {
        let objects = match self.protected.list(kind).await {
            Ok(objects) => objects,
            Err(failure) => {
                // Kinds that do not exist here, or that we may not list, are not worth a line every few seconds.
                if memory.given_up.insert((kind.group, kind.plural)) {
                    tracing::info!(kind = kind.kind, %failure, "protections of this kind are not ended by time");
                }
                return EVERY;
            }
        };
        let mut next = EVERY;
        for object in objects {
            next = next.min(self.look_at_one(kind, &object, term, memory).await);
        }
        next
    }

    async fn look_at_one(&self, kind: Kind, object: &ObjectMeta, term: &Term, memory: &mut Memory) -> Duration {
        let text = object.annotations.as_ref().and_then(|annotations| annotations.get(UNTIL));
        let until = Until::read(text.map(String::as_str));
        if let Until::Unreadable(found) = &until {
            let is_news = memory.told.insert((object.uid.clone().unwrap_or_default(), found.clone()));
            if is_news {
                let note =
                    format!("{UNTIL}: expected a time as 2026-12-31T12:00:00Z, found {found:?}: the protection does not end by itself");
                self.tell(
                    Event {
                        by: reporter::PROTECTION,
                        about: target(kind, object),
                        is_warning: true,
                        reason: "ProtectionEndUnreadable",
                        note,
                    },
                    term,
                )
                .await;
            }
        }
        let Some(left) = until.left((self.wall)()) else { return EVERY };
        if left.is_positive() {
            return left.unsigned_abs();
        }
        self.lift(kind, object, term).await
    }

    /// Takes the label off an object whose time has come.
    async fn lift(&self, kind: Kind, object: &ObjectMeta, term: &Term) -> Duration {
        if !term.is_current() {
            return EVERY;
        }
        let about = target(kind, object);
        match self.protected.lift(&about, object.resource_version.as_deref().unwrap_or_default()).await {
            Ok(()) => {
                let value = object.labels.as_ref().and_then(|labels| labels.get(LABEL)).cloned().unwrap_or_default();
                let until = object.annotations.as_ref().and_then(|annotations| annotations.get(UNTIL)).cloned().unwrap_or_default();
                tracing::info!(kind = kind.kind, namespace = %about.namespace, name = %about.name, %until, "a protection has ended");
                let note = format!("The label {LABEL}={value} was taken off: {UNTIL}, {until}, has passed");
                self.tell(Event { by: reporter::PROTECTION, about, is_warning: false, reason: "ProtectionEnded", note }, term).await;
                EVERY
            }
            // It is looked at as it is now.
            Err(Failure::Outdated(_)) => PAUSE,
            Err(failure) => {
                tracing::warn!(kind = kind.kind, namespace = %about.namespace, name = %about.name, %failure, "a protection cannot be ended");
                EVERY
            }
        }
    }

    async fn tell(&self, event: Event, term: &Term) {
        if term.is_current() {
            self.teller.tell(&[event], (self.wall)()).await;
        }
    }
}

fn kinds() -> impl Iterator<Item = Kind> {
    kind::ALL.into_iter().map(|protectable| protectable.kind).chain(until::KINDS)
}

fn target(kind: Kind, object: &ObjectMeta) -> Target {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Target { kind, namespace: text(&object.namespace), name: text(&object.name), uid: text(&object.uid) }
}
