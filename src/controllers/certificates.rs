//! Keeps certificates by itself: the CA in the Secret, the certificate that is served, the bundles that the API server trusts.
//!
//! Every replica looks, signs its own certificate, and makes the CA if there is none. The leader alone exchanges a CA and writes bundles.
//! A turn looks at everything as it is at this moment: first at the hooks, then at the Secret. So nothing that was written to a hook
//! meanwhile is overwritten by less: the hook's version says so.
//!
//! What cannot be read or used is said in the log, in the metrics and on `/readyz`, and what is served is served on.

mod memory;
mod quarrel;
mod tidings;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use self::{memory::Memory, tidings::Tidings};
use crate::{
    cluster::{
        apply::Failure,
        bundles::{Bundles, Carrier, Found},
        lease::Term,
        secret::{OneSecret, Version},
        watch::Pauses,
    },
    server::{
        admin::Readiness,
        authority::{
            Certificate, Moment, Times, certificates,
            contents::{Contents, Meaning, Means},
            issue,
            plan::{self, Carried, Held, Signing, Step},
            to_pem,
        },
        certs::Serving,
    },
    telemetry::metrics::Metrics,
};

/// How often everything is looked at if nothing is heard of it.
const EVERY: i64 = 60;
/// The same as long as this replica is not ready.
const SOON: i64 = 2;
/// How long between two looks at least: somebody who changes a hook all the time is not run after.
const BREATH: Duration = Duration::from_millis(500);
/// How many steps are taken in a row.
const ROUNDS: usize = 8;

/// Readiness waits for a certificate to serve.
pub const CERTIFICATE: &str = "certificate";
/// Readiness waits until somebody who is sent here by a hook would believe that certificate. At the start only, and not where no hook
/// calls us or hooks may not be read: a replica that nobody believes serves nobody, but one that was believed once does not take itself
/// away from those who still do.
pub const BUNDLES: &str = "caBundle";

/// What keeps certificates.
pub struct SelfManaged {
    /// Where the CA is.
    pub secret: OneSecret,
    /// Who has to trust it.
    pub bundles: Bundles,
    /// Rings when one of these has changed.
    pub bell: Arc<Notify>,
    /// What is served.
    pub serving: Arc<Serving>,
    /// For which names.
    pub names: Vec<String>,
    /// How long things last.
    pub times: Times,
    /// Whose keys may be used.
    pub provider: Arc<CryptoProvider>,
    /// The clock on the wall.
    pub wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// Who is told.
    pub readiness: Readiness,
}

/// What a turn came to.
enum Turn {
    /// The Secret has changed, and what comes next may be due at once.
    Again,
    /// Nothing more is to be done for so long.
    Done(Duration),
    /// It is tried again after a while.
    Failed,
}

/// What writing bundles came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// There is nothing to write.
    Done,
    /// Something was written: what depends on it may be due.
    Written,
    /// Something has to be tried again soon.
    Failed,
}

impl Spread {
    fn and(self, other: Self) -> Self {
        if self == Self::Failed { self } else { other }
    }
}

/// Everything that carries a bundle, as it was read.
type Carriers = Vec<(Carrier, Result<Option<Found>, Failure>)>;

impl SelfManaged {
    /// Names what readiness waits for.
    pub fn expect(&self) {
        self.readiness.expect(CERTIFICATE);
        self.readiness.expect(BUNDLES);
    }

    /// Keeps certificates until `stop`; exchanges the CA and writes bundles while `leadership` says that we lead.
    pub async fn run(self, mut leadership: watch::Receiver<Option<Term>>, stop: CancellationToken) {
        let tidings = Tidings::new(self.metrics.clone(), self.readiness.clone(), &self.secret);
        let mut keeper = Keeper { own: self, memory: Memory::default(), tidings };
        keeper.keep(&mut leadership, &stop).await;
        keeper.tidings.bundles(0, &[]);
    }
}

/// [`SelfManaged`] under way.
struct Keeper {
    own: SelfManaged,
    memory: Memory,
    tidings: Tidings,
}

impl Keeper {
    fn now(&self) -> Moment {
        (self.own.wall)().as_second()
    }

    async fn keep(&mut self, leadership: &mut watch::Receiver<Option<Term>>, stop: &CancellationToken) {
        let mut pauses = Pauses::default();
        loop {
            let term = leadership.borrow_and_update().clone();
            let pause = match self.turns(term.as_ref()).await {
                Turn::Done(pause) => {
                    pauses = Pauses::default();
                    pause
                }
                Turn::Again | Turn::Failed => pauses.next().unwrap_or(BREATH),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(BREATH) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = self.own.bell.notified() => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn turns(&mut self, term: Option<&Term>) -> Turn {
        for _ in 0..ROUNDS {
            match self.turn(term).await {
                Turn::Again => {}
                end => return end,
            }
        }
        Turn::Failed
    }

    async fn turn(&mut self, term: Option<&Term>) -> Turn {
        // While it lives no other replica leads.
        let work = term.and_then(|term| Some((term, term.begin()?)));
        if work.is_none() {
            // What a leader says, we do not.
            self.tidings.bundles(0, &[]);
        }
        let carriers = self.own.bundles.read().await;
        let read = self.own.secret.read().await;
        let now = self.now();
        let carried = carried(&carriers);
        let version = match read {
            Ok(version) => version,
            Err(failure) => return self.go_on(&failure, carried.as_ref(), now),
        };
        let contents = version.as_ref().map(contents).unwrap_or_default();
        let meaning = contents.read();
        let replica = self.memory.replica(work.is_some(), &meaning.held, now);
        let step = plan::next(&meaning.held, carried.as_ref(), replica, &self.own.times, now);
        let mut trouble = if let Held::Unusable(why) = &meaning.held { Some(format!("cannot be used: {why}")) } else { None };
        let (is_usable, is_there) = (trouble.is_none(), meaning.signer.is_some());
        if let Ok(step) = step {
            match self.write(step, &contents, version.as_ref(), now).await {
                Ok(()) => return Turn::Again,
                Err(why) => trouble = Some(why),
            }
        }
        self.tidings.secret(trouble.as_deref(), !is_usable, self.memory.leaf.is_some());
        self.take_in(meaning, contents, now);
        self.renew(carried.as_ref(), is_there, now);
        let spread = match &work {
            Some((term, _)) => self.spread(&carriers, term, now).await,
            None => Spread::Done,
        };
        self.tidings.hooks(&carriers, self.memory.leaf.as_ref());
        match spread {
            Spread::Written => Turn::Again,
            Spread::Done if step.is_err() && !is_cut_off(&carriers) => Turn::Done(self.pause(step.err().flatten(), now)),
            Spread::Done | Spread::Failed => Turn::Failed,
        }
    }

    /// Goes on from memory: the Secret cannot be read.
    fn go_on(&mut self, failure: &Failure, carried: Option<&Carried>, now: Moment) -> Turn {
        self.tidings.secret(Some(&format!("cannot be read: {failure}")), false, self.memory.leaf.is_some());
        self.renew(carried, false, now);
        Turn::Failed
    }

    /// Takes a step of the Secret; fails in words. Where another replica was faster it is looked at again.
    async fn write(&mut self, step: Step, contents: &Contents, version: Option<&Version>, now: Moment) -> Result<(), String> {
        let before = self.memory.contents();
        let made = Contents::wants_new(step, before).then(|| issue::authority(&self.own.times, now));
        let made = made.transpose().map_err(|error| format!("has no CA, and none can be made: {error}"))?;
        let after = contents.after(step, Means { made: made.as_ref(), before }, &self.own.times, now);
        match self.own.secret.write(version, &after.data, after.annotations).await {
            Ok(()) => {
                tracing::info!(secret = self.own.secret.name, step = said(step), "the certificate authority has changed");
                Ok(())
            }
            Err(Failure::Outdated(why)) => {
                tracing::debug!(why, "the certificate authority was changed by somebody else");
                self.tidings.wait(&why);
                Ok(())
            }
            Err(failure) => Err(format!("cannot be written: {failure}")),
        }
    }

    fn take_in(&mut self, meaning: Meaning, contents: Contents, now: Moment) {
        self.memory.take_in(meaning, contents, &self.own.times, now);
        if let Some(known) = &self.memory.known {
            self.tidings.authority(&known.held, &self.own.times, now);
        }
    }

    /// Signs a new certificate for this replica if it is time.
    fn renew(&mut self, carried: Option<&Carried>, is_fresh: bool, now: Moment) {
        let Some(Meaning { held, signer: Some(signer) }) = &self.memory.known else { return };
        let (ca, bundle) = (signer.certificate(), held.bundle());
        let is_trusted = carried.is_some_and(|carried| carried.trusts(std::slice::from_ref(ca)));
        // A clock that is set back makes no pause longer.
        self.memory.trusted_since = is_trusted.then(|| self.memory.trusted_since.map_or(now, |since| since.min(now)));
        let (is_foretold, trusted_since) = (self.memory.is_foretold, self.memory.trusted_since);
        let signing = Signing { ca, bundle: &bundle, is_foretold, is_fresh, trusted_since };
        if !plan::renews(self.memory.leaf.as_ref(), &signing, &self.own.times, now) {
            return;
        }
        let renewed = signer.leaf(&self.own.names, &self.own.times, now).and_then(|(leaf, pem)| {
            self.own.serving.replace(&pem, &self.own.provider, &self.own.metrics).map_err(|error| error.to_string())?;
            Ok(leaf)
        });
        self.tidings.signed(renewed.as_ref().err().map(String::as_str));
        if let Ok(leaf) = renewed {
            tracing::info!(ends = %tidings::shown(leaf.ends), "a new serving certificate was signed");
            self.memory.leaf = Some(leaf);
        }
    }

    /// Writes the bundle to all that do not carry it. Nothing is written that would not begin in this term.
    async fn spread(&mut self, carriers: &Carriers, term: &Term, now: Moment) -> Spread {
        let Some(wanted) = self.memory.wanted(now) else { return Spread::Done };
        let text = to_pem(&wanted);
        let (mut missing, mut complaints, mut spread) = (0, Vec::new(), Spread::Done);
        for (carrier, found) in carriers {
            let Ok(Some(found)) = found else { continue };
            if found.hooks.iter().all(|hook| is_same(&trusted(&hook.bundle), &wanted)) {
                continue;
            }
            missing += 1;
            let quarrel = self.memory.quarrels.entry(carrier.clone()).or_default();
            if let Some(again) = quarrel.pause(&wanted, now) {
                complaints.push(tidings::fought_over(carrier, found, again));
                continue;
            }
            if !term.is_current() {
                return Spread::Failed;
            }
            match self.own.bundles.write(carrier, found, &text).await {
                Ok(()) => {
                    quarrel.wrote(&wanted, now);
                    missing -= 1;
                    spread = spread.and(Spread::Written);
                    self.own.metrics.bundle_writes.inc();
                    tracing::info!(%carrier, hooks = found.hooks.len(), authorities = wanted.len(), "caBundle was written");
                }
                Err(Failure::Outdated(_)) => spread = Spread::Failed,
                Err(failure) => {
                    spread = Spread::Failed;
                    complaints.push(format!("{carrier}: caBundle cannot be written: {failure}"));
                }
            }
        }
        self.tidings.bundles(missing, &complaints);
        spread
    }

    /// How long nothing is due.
    fn pause(&self, step: Option<Moment>, now: Moment) -> Duration {
        let leaf = self.memory.leaf.as_ref();
        let due = [step, leaf.map(plan::Leaf::due), leaf.map(plan::Leaf::overdue)];
        // What is past and was not done then, as near the end of a CA that nobody exchanges, is not looked at more often for that.
        let soonest = due.into_iter().flatten().filter(|due| *due > now).map(|due| due.saturating_sub(now)).min().unwrap_or(EVERY);
        // Nobody who is not ready is kept waiting for a watch.
        let every = if self.own.readiness.holds(&[CERTIFICATE, BUNDLES]) { EVERY } else { SOON };
        let seconds = soonest.min(every).min(self.own.times.leaf / 10).max(1);
        Duration::from_secs(seconds.unsigned_abs())
    }
}

fn contents(version: &Version) -> Contents {
    Contents { data: version.data(), annotations: version.annotations() }
}

/// What all hooks carry; `None` if one of them could not be read.
fn carried(carriers: &Carriers) -> Option<Carried> {
    let mut all = Vec::new();
    for (_, found) in carriers {
        let hooks = found.as_ref().ok()?.iter().flat_map(|found| &found.hooks);
        all.extend(hooks.map(|hook| trusted(&hook.bundle)));
    }
    Some(Carried(all))
}

/// Whether hooks could not be read that can be soon. Who may not look at them never will.
fn is_cut_off(carriers: &Carriers) -> bool {
    carriers.iter().any(|(_, found)| found.as_ref().is_err_and(|failure| !matches!(failure, Failure::Refused(_))))
}

/// What a bundle says to trust: nothing, if it cannot be read.
fn trusted(bundle: &[u8]) -> Vec<Certificate> {
    certificates(bundle).unwrap_or_default()
}

/// Whether two bundles say the same, in whatever order.
fn is_same(one: &[Certificate], other: &[Certificate]) -> bool {
    one.len() == other.len() && one.iter().all(|certificate| other.contains(certificate))
}

const fn said(step: Step) -> &'static str {
    match step {
        Step::Make => "a new CA was made",
        Step::Restore => "the Secret was gone and was put back, with the next CA",
        Step::Prepare => "the next CA was made",
        Step::Trust => "the next CA is trusted by all hooks",
        Step::Distrust => "the next CA is not trusted by all hooks any more",
        Step::Promote => "the next CA signs from now on",
        Step::Retire => "the previous CA is trusted no more",
    }
}
