//! The Secret's contents: read into what they mean, and written for each [`Step`].
//!
//! Whose CA it is says an annotation. Without it the CA is somebody else's: used as it is, and never exchanged by us. cert-manager's
//! Secrets of CAs can be used so, and those that a user makes with `kubectl create secret`.

use std::{collections::BTreeMap, fmt};

use super::{
    Certificate, Moment, Times, certificates,
    issue::{Made, Signer},
    plan::{Held, Ours, Step},
    to_pem,
};

/// The annotation of a Secret that is ours.
pub const OURS: &str = "outrigger.kruise.io/authority";
/// Its value.
const SELF_MANAGED: &str = "self-managed";
/// Since when all hooks carry the next CA.
const TRUSTED_SINCE: &str = "outrigger.kruise.io/next-trusted-since";
/// Until when the CAs behind the first one are trusted.
const PREVIOUS_UNTIL: &str = "outrigger.kruise.io/previous-trusted-until";

const BUNDLE: &str = "ca.crt";
const KEY: &str = "ca.key";
const NEXT: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
/// Under which names others put a CA.
const THEIR_CHAIN: &str = "tls.crt";
const THEIR_KEY: &str = "tls.key";

/// What a Secret holds that matters here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// By name; not in base64.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl fmt::Debug for Contents {
    /// Without what is in the members: some are keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.data.iter().map(|(name, value)| (name, value.len())).collect();
        f.debug_struct("Contents").field("members", &members).field("annotations", &self.annotations).finish()
    }
}

/// What contents mean.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// For the plan.
    pub held: Held,
    /// Signs, if there is a CA that can.
    pub signer: Option<Signer>,
}

/// What some steps want.
#[derive(Clone, Copy, Default)]
pub struct Means<'a> {
    /// A new CA, for a step that [wants one](Contents::wants_new).
    pub made: Option<&'a Made>,
    /// What the Secret held until it was gone.
    pub before: Option<&'a Contents>,
}

impl Contents {
    /// What they mean. Never fails: what cannot be used says why.
    pub fn read(&self) -> Meaning {
        if self.data.values().all(Vec::is_empty) {
            return Meaning { held: Held::Nothing, signer: None };
        }
        let read = if self.annotations.contains_key(OURS) { self.ours() } else { self.theirs() };
        match read {
            Ok((held, signer)) => Meaning { held, signer: Some(signer) },
            Err(why) => Meaning { held: Held::Unusable(why), signer: None },
        }
    }

    fn member(&self, name: &'static str) -> Result<&[u8], String> {
        self.data.get(name).map(Vec::as_slice).ok_or_else(|| format!("expected a member {name}, found none"))
    }

    fn chain(&self, name: &'static str) -> Result<Vec<Certificate>, String> {
        certificates(self.member(name)?).map_err(|why| format!("{name}: {why}"))
    }

    fn signer(&self, chain: &[Certificate], key: &'static str) -> Result<Signer, String> {
        Signer::load(chain, self.member(key)?).map_err(|why| format!("{key}: {why}"))
    }

    fn moment(&self, name: &str) -> Result<Option<Moment>, String> {
        let Some(text) = self.annotations.get(name) else { return Ok(None) };
        let parsed = text.parse::<jiff::Timestamp>();
        parsed
            .map(|at| Some(at.as_second()))
            .map_err(|_| format!("annotation {name}: expected a time as 2026-12-31T12:00:00Z, found {text:?}"))
    }

    fn ours(&self) -> Result<(Held, Signer), String> {
        let chain = self.chain(BUNDLE)?;
        let signing = chain.first().cloned().ok_or_else(|| format!("{BUNDLE}: expected a certificate"))?;
        let signer = self.signer(std::slice::from_ref(&signing), KEY)?;
        let next = match self.data.get(NEXT) {
            Some(_) => self.chain(NEXT)?.into_iter().next(),
            None => None,
        };
        if let Some(next) = &next {
            self.signer(std::slice::from_ref(next), NEXT_KEY)?;
        }
        let is_other = |one: &Certificate| *one != signing && Some(one) != next.as_ref();
        let others = chain.into_iter().filter(is_other).collect();
        let (others_until, trusted_since) = (self.moment(PREVIOUS_UNTIL)?, self.moment(TRUSTED_SINCE)?);
        Ok((Held::Ours(Ours { signing, others, others_until, next, trusted_since }), signer))
    }

    /// `ca.crt` with `ca.key`, or `tls.crt` with `tls.key` and the root in `ca.crt`.
    fn theirs(&self) -> Result<(Held, Signer), String> {
        let (chain, key) = if self.data.contains_key(KEY) { (BUNDLE, KEY) } else { (THEIR_CHAIN, THEIR_KEY) };
        let chain = self.chain(chain).map_err(|why| {
            format!("{why}; a Secret for a CA has {BUNDLE} with {KEY}, or {THEIR_CHAIN} with {THEIR_KEY}, and an empty one is filled")
        })?;
        let signer = self.signer(&chain, key)?;
        let roots = if self.data.contains_key(BUNDLE) { self.chain(BUNDLE)? } else { Vec::new() };
        let mut others = Vec::new();
        for one in chain.into_iter().chain(roots) {
            if one != *signer.certificate() && !others.contains(&one) {
                others.push(one);
            }
        }
        Ok((Held::Theirs { signing: signer.certificate().clone(), others }, signer))
    }

    /// Whether a step wants a new CA, where `before` is what the Secret held until it was gone. Keys are made for nothing else.
    pub fn wants_new(step: Step, before: Option<&Self>) -> bool {
        match step {
            Step::Make | Step::Prepare => true,
            Step::Restore => before.is_some_and(|before| !before.data.contains_key(NEXT)),
            Step::Trust | Step::Distrust | Step::Promote | Step::Retire => false,
        }
    }

    /// The contents after a step. Without what it wants a step changes nothing. What others keep in the Secret stays there.
    #[must_use]
    pub fn after(&self, step: Step, means: Means<'_>, times: &Times, now: Moment) -> Self {
        let mut after = self.clone();
        match (step, means.made, means.before) {
            (Step::Make, Some(made), _) => after.succeed(made, times, now),
            (Step::Restore, made, Some(before)) => after.put_back(before, made),
            (Step::Prepare, Some(made), _) => after.lay_beside(made),
            (Step::Trust, ..) => after.note(TRUSTED_SINCE, Some(now)),
            (Step::Distrust, ..) => after.note(TRUSTED_SINCE, None),
            (Step::Promote, ..) => after.promote(times, now),
            (Step::Retire, ..) => after.retire(),
            _ => {}
        }
        after
    }

    fn sign_with(&mut self, made: &Made, others: &[Certificate]) {
        let bundle = std::iter::once(&made.certificate).chain(others).cloned().collect::<Vec<_>>();
        self.data.insert(BUNDLE.to_owned(), to_pem(&bundle).into_bytes());
        self.data.insert(KEY.to_owned(), made.key.clone().into_bytes());
        for name in [NEXT, NEXT_KEY] {
            self.data.remove(name);
        }
        for name in [TRUSTED_SINCE, PREVIOUS_UNTIL] {
            self.annotations.remove(name);
        }
        self.annotations.insert(OURS.to_owned(), SELF_MANAGED.to_owned());
    }

    /// All that was there, so that whoever was trusted is trusted on; and the next CA, if it was not there yet.
    fn put_back(&mut self, before: &Self, next: Option<&Made>) {
        // A Secret may have been emptied, and not deleted.
        self.data.retain(|_, value| !value.is_empty());
        self.data.extend(before.data.clone());
        self.annotations.extend(before.annotations.clone());
        // What hooks carried then is looked at anew.
        self.note(TRUSTED_SINCE, None);
        if let Some(next) = next.filter(|_| !before.data.contains_key(NEXT)) {
            self.lay_beside(next);
        }
    }

    fn lay_beside(&mut self, made: &Made) {
        if let Some(bundle) = self.data.get_mut(BUNDLE) {
            if !bundle.ends_with(b"\n") {
                bundle.push(b'\n');
            }
            bundle.extend(made.certificate.to_pem().bytes());
        }
        self.data.insert(NEXT.to_owned(), made.certificate.to_pem().into_bytes());
        self.data.insert(NEXT_KEY.to_owned(), made.key.clone().into_bytes());
        self.note(TRUSTED_SINCE, None);
    }

    fn promote(&mut self, times: &Times, now: Moment) {
        let Held::Ours(Ours { next: Some(next), .. }) = self.read().held else { return };
        let Some(key) = self.data.get(NEXT_KEY).and_then(|key| String::from_utf8(key.clone()).ok()) else { return };
        self.succeed(&Made { certificate: next, key }, times, now);
    }

    /// From now on this one signs. Whoever did is trusted on for a while, also one that has ended: our clock may be wrong.
    fn succeed(&mut self, made: &Made, times: &Times, now: Moment) {
        let trusted = match self.read().held {
            Held::Ours(Ours { signing, others, .. }) => [vec![signing], others].concat(),
            _ => Vec::new(),
        };
        self.sign_with(made, &trusted);
        if !trusted.is_empty() {
            self.note(PREVIOUS_UNTIL, Some(now.saturating_add(times.farewell())));
        }
    }

    fn retire(&mut self) {
        let Held::Ours(ours) = self.read().held else { return };
        let bundle: Vec<_> = std::iter::once(ours.signing).chain(ours.next).collect();
        self.data.insert(BUNDLE.to_owned(), to_pem(&bundle).into_bytes());
        self.note(PREVIOUS_UNTIL, None);
    }

    fn note(&mut self, name: &str, moment: Option<Moment>) {
        match moment.and_then(|moment| jiff::Timestamp::from_second(moment).ok()) {
            Some(moment) => drop(self.annotations.insert(name.to_owned(), moment.to_string())),
            None => drop(self.annotations.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests;
