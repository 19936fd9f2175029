//! What is told of certificates: once when it begins, in the log; as long as it lasts, in the metrics and on `/readyz`.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{BUNDLES, CERTIFICATE, Carriers, trusted};
use crate::{
    cluster::{
        apply::Failure,
        bundles::{Carrier, Found},
        secret::OneSecret,
    },
    server::{
        admin::Readiness,
        authority::{
            Moment, Times,
            plan::{Held, Leaf},
        },
    },
    telemetry::metrics::Metrics,
};

const SECRET: &str = "certificate authority";
const ENDING: &str = "end of the certificate authority";
const SIGNING: &str = "serving certificate";

/// Tells.
pub(super) struct Tidings {
    metrics: Arc<Metrics>,
    readiness: Readiness,
    /// The Secret, as it is spoken of.
    secret: String,
    told: BTreeMap<&'static str, String>,
}

/// A time as people read it.
pub(super) fn shown(moment: Moment) -> String {
    Timestamp::from_second(moment).map_or_else(|_| "never".to_owned(), |at| at.to_string())
}

/// That somebody else writes bundles, too.
pub(super) fn fought_over(carrier: &Carrier, found: &Found, again: Moment) -> String {
    let rivals = if found.rivals.is_empty() { "somebody".to_owned() } else { found.rivals.join(", ") };
    format!("{carrier}: {rivals} keeps writing another caBundle; ours is written again at {}", shown(again))
}

impl Tidings {
    pub(super) fn new(metrics: Arc<Metrics>, readiness: Readiness, secret: &OneSecret) -> Self {
        let secret = format!("Secret {}/{}", secret.namespace, secret.name);
        Self { metrics, readiness, secret, told: BTreeMap::new() }
    }

    /// Warns of something, or takes the warning back. True if this is news.
    fn warn(&mut self, topic: &'static str, complaint: Option<String>) -> bool {
        self.readiness.warn(topic, complaint.clone());
        let is_news = complaint.is_some() && self.told.get(topic) != complaint.as_ref();
        if is_news && let Some(complaint) = &complaint {
            tracing::warn!(topic, "{complaint}");
        }
        match complaint {
            Some(complaint) => drop(self.told.insert(topic, complaint)),
            None => drop(self.told.remove(topic)),
        }
        is_news
    }

    /// Why the Secret cannot be used, if it cannot; and whether a certificate is served nevertheless.
    pub(super) fn secret(&mut self, why: Option<&str>, is_unusable: bool, serves: bool) {
        self.metrics.certificate_unusable.set(is_unusable.into());
        let Some(why) = why else {
            self.warn(SECRET, None);
            return;
        };
        let told = format!("{} {why}", self.secret);
        let advice = if is_unusable { "; mend the Secret, or delete it to have a new one made" } else { "" };
        self.readiness.explain(CERTIFICATE, format!("{told}{advice}"));
        let while_served = if serves { "; the certificate that was signed before is served" } else { "" };
        if self.warn(SECRET, Some(told + while_served)) {
            self.metrics.certificate_errors.inc();
        }
    }

    /// Why there is no CA yet, if there is none.
    pub(super) fn wait(&self, why: &str) {
        self.readiness.explain(CERTIFICATE, format!("{} was changed meanwhile: {why}", self.secret));
    }

    /// What a signature came to.
    pub(super) fn signed(&mut self, error: Option<&str>) {
        match error {
            None => self.readiness.report(CERTIFICATE, Ok(())),
            Some(why) => self.readiness.explain(CERTIFICATE, why.to_owned()),
        }
        if self.warn(SIGNING, error.map(str::to_owned)) {
            self.metrics.certificate_errors.inc();
        }
    }

    /// When the CA ends; a warning while there is time, if it is not ours to exchange, and that one has ended, if it is.
    pub(super) fn authority(&mut self, held: &Held, times: &Times, now: Moment) {
        let Some(signing) = held.signing() else { return };
        self.metrics.authority_expiry.set(signing.ends);
        let (secret, ends, left) = (&self.secret, shown(signing.ends), signing.ends.saturating_sub(now));
        let told = match held {
            Held::Theirs { .. } if left < times.leaf => {
                Some(format!("the CA in {secret} ends at {ends}; it was put there by somebody, who has to exchange it"))
            }
            Held::Ours(_) if left <= 0 => {
                Some(format!("the CA in {secret} has ended at {ends} by our clock; the leader exchanges it by its own"))
            }
            _ => None,
        };
        self.warn(ENDING, told);
    }

    /// How many objects lack the bundle, and what is wrong with which. Not among them are those that cannot be read: of these nobody
    /// knows, and [`Self::hooks`] names them.
    pub(super) fn bundles(&mut self, missing: i64, complaints: &[String]) {
        self.metrics.bundles_missing.set(missing);
        self.warn(BUNDLES, (!complaints.is_empty()).then(|| complaints.join("; ")));
    }

    /// Whether somebody who is sent here by a hook believes what is served.
    pub(super) fn hooks(&mut self, carriers: &Carriers, leaf: Option<&Leaf>) {
        let mut unbelieving = Vec::new();
        let (mut unreadable, mut is_forbidden, mut is_believed) = (Vec::new(), false, false);
        for (carrier, found) in carriers {
            match found {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let believes = |bundle: &[u8]| leaf.is_some_and(|leaf| trusted(bundle).contains(&leaf.by));
                    is_believed |= found.hooks.iter().any(|hook| believes(&hook.bundle));
                    if found.hooks.iter().any(|hook| !believes(&hook.bundle)) {
                        unbelieving.push(carrier.to_string());
                    }
                }
                Err(failure) => {
                    is_forbidden |= matches!(failure, Failure::Refused(_));
                    unreadable.push(format!("{carrier}: {failure}"));
                }
            }
        }
        if is_believed || is_forbidden || (unbelieving.is_empty() && unreadable.is_empty()) {
            self.readiness.report(BUNDLES, Ok(()));
        } else if leaf.is_none() {
            self.readiness.explain(BUNDLES, "there is no certificate yet".to_owned());
        } else if unreadable.is_empty() {
            self.readiness.explain(BUNDLES, format!("the leader has not written our CA yet to {}", unbelieving.join(", ")));
        } else {
            self.readiness.explain(BUNDLES, unreadable.join("; "));
        }
        self.warn("hooks", (!unreadable.is_empty()).then(|| format!("cannot be read: {}", unreadable.join("; "))));
    }
}
