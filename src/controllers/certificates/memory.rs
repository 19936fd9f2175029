//! What a replica remembers from turn to turn.

use std::collections::BTreeMap;

use super::quarrel::Quarrel;
use crate::{
    cluster::bundles::Carrier,
    server::authority::{
        Certificate, Moment, Times,
        contents::{Contents, Meaning},
        plan::{Held, Leaf, Replica},
    },
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The last CA that could be used.
    pub(super) known: Option<Meaning>,
    /// All that the Secret held with it.
    contents: Contents,
    /// Since when there is no CA in the Secret.
    missing_since: Option<Moment>,
    /// What is served.
    pub(super) leaf: Option<Leaf>,
    /// Since when all hooks trust the CA that signs.
    pub(super) trusted_since: Option<Moment>,
    /// Whether that CA was seen to come.
    pub(super) is_foretold: bool,
    /// CAs that signed and then were not in the Secret any more, and until when something may be served that they have signed: somebody
    /// has put another one there by hand.
    lost: Vec<(Certificate, Moment)>,
    /// What was written to whom.
    pub(super) quarrels: BTreeMap<Carrier, Quarrel>,
}

impl Memory {
    /// Takes in what the Secret holds now. What cannot be used is not taken in.
    pub(super) fn take_in(&mut self, meaning: Meaning, contents: Contents, times: &Times, now: Moment) {
        if meaning.signer.is_none() {
            return;
        }
        let (before, bundle) = (self.known.as_ref().and_then(|known| known.held.signing()), meaning.held.bundle());
        if before != meaning.held.signing() {
            let foretells = |ca| self.known.as_ref().is_some_and(|known| known.held.foretells(ca));
            (self.trusted_since, self.is_foretold) = (None, meaning.held.signing().is_some_and(foretells));
        }
        if let Some(before) = before.filter(|before| !bundle.contains(before)) {
            self.lost.push((before.clone(), now.saturating_add(times.farewell())));
        }
        self.lost.retain(|(one, until)| *until > now && !bundle.contains(one));
        (self.known, self.contents) = (Some(meaning), contents);
    }

    /// What this replica can do about what the Secret holds now.
    pub(super) fn replica(&mut self, leads: bool, held: &Held, now: Moment) -> Replica {
        // A clock that is set back makes no pause longer.
        self.missing_since = (*held == Held::Nothing).then(|| self.missing_since.map_or(now, |since| since.min(now)));
        Replica { leads, remembers: self.contents().is_some(), missing_since: self.missing_since }
    }

    /// What every hook is to carry; `None` as long as no CA is known.
    pub(super) fn wanted(&self, now: Moment) -> Option<Vec<Certificate>> {
        let known = self.known.as_ref()?;
        let lost = self.lost.iter().filter(|(_, until)| *until > now).map(|(one, _)| one.clone());
        Some(known.held.bundle().into_iter().chain(lost).collect())
    }

    /// What could be put back, if it is a CA of ours.
    pub(super) fn contents(&self) -> Option<&Contents> {
        let is_ours = self.known.as_ref().is_some_and(|known| matches!(known.held, Held::Ours(_)));
        is_ours.then_some(&self.contents)
    }
}
