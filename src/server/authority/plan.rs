//! What happens next to the CA in the Secret, and to the certificate that a replica serves.

use super::{Certificate, Moment, Times};

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing: it does not exist, or is empty.
    Nothing,
    /// A CA of ours, and how far its exchange is.
    Ours(Ours),
    /// A CA that somebody put there. It is used, and left as it is.
    Theirs {
        /// Signs.
        signing: Certificate,
        /// Trusted besides.
        others: Vec<Certificate>,
    },
    /// Something that cannot be used, and why. It is left as it is: nobody knows whether it is the last copy of something.
    Unusable(String),
}

/// A CA of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Signs.
    pub signing: Certificate,
    /// Those before it, still trusted.
    pub others: Vec<Certificate>,
    /// Until when.
    pub others_until: Option<Moment>,
    /// Will sign; trusted already.
    pub next: Option<Certificate>,
    /// Since when all hooks carry it, as was noted.
    pub trusted_since: Option<Moment>,
}

impl Held {
    /// The CA that signs.
    pub fn signing(&self) -> Option<&Certificate> {
        match self {
            Self::Ours(Ours { signing, .. }) | Self::Theirs { signing, .. } => Some(signing),
            Self::Nothing | Self::Unusable(_) => None,
        }
    }

    /// All that are trusted, the one that signs first.
    pub fn bundle(&self) -> Vec<Certificate> {
        let (others, next) = match self {
            Self::Ours(ours) => (ours.others.as_slice(), ours.next.as_ref()),
            Self::Theirs { others, .. } => (others.as_slice(), None),
            Self::Nothing | Self::Unusable(_) => (&[][..], None),
        };
        self.signing().into_iter().chain(next).chain(others).cloned().collect()
    }

    /// Whether this is the next CA, and all hooks were found to carry it.
    pub fn foretells(&self, ca: &Certificate) -> bool {
        matches!(self, Self::Ours(Ours { next: Some(next), trusted_since: Some(_), .. }) if next == ca)
    }
}

/// What the hooks that exist and are ours carry: a bundle for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried(pub Vec<Vec<Certificate>>);

impl Carried {
    /// Whether whoever is verified by one of these is verified by all hooks. So it is when there are none.
    pub fn trusts(&self, wanted: &[Certificate]) -> bool {
        self.0.iter().all(|bundle| wanted.iter().all(|one| bundle.contains(one)))
    }
}

/// What is to be done to the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Put a new CA there that signs at once. If there was one, it is trusted on: that it has ended one clock says, and others may not.
    Make,
    /// Put back what this replica remembers of the Secret, and the next CA beside it: somebody deleted it.
    Restore,
    /// Lay the next CA beside the one that signs.
    Prepare,
    /// Note that all hooks carry the next one from now on.
    Trust,
    /// Take back that they do.
    Distrust,
    /// Let the next one sign.
    Promote,
    /// Trust only the one that signs.
    Retire,
}

/// What this replica can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Whether it leads. Only the leader exchanges a CA, also one that has ended: whose clock is ahead would do it too early, and nobody
    /// else tells hooks of the new one. What is not there anybody replaces.
    pub leads: bool,
    /// Whether it remembers a CA of ours, and could put it back.
    pub remembers: bool,
    /// Since when it finds no CA in the Secret, if it finds none.
    pub missing_since: Option<Moment>,
}

/// How long the others leave it to the leader to put a CA where there was one, in seconds.
const LEADERS_TURN: i64 = 5;
/// How long it is left to whoever remembers what was there.
const WITNESSES_TURN: i64 = 10;

/// What to do to the Secret now, if anything; else when something will be to do at the latest, if that is known. `carried` is `None` where
/// not all hooks could be read.
pub fn next(held: &Held, carried: Option<&Carried>, replica: Replica, times: &Times, now: Moment) -> Result<Step, Option<Moment>> {
    let ours = match held {
        Held::Nothing => return vacancy(carried, replica, now),
        Held::Theirs { .. } | Held::Unusable(_) => return Err(None),
        Held::Ours(ours) => ours,
    };
    if ours.signing.ends <= now {
        // Nothing that it signed is believed any more: nobody need be waited for.
        let step = if ours.next.as_ref().is_some_and(|next| next.ends > now) { Step::Promote } else { Step::Make };
        return if replica.leads { Ok(step) } else { Err(None) };
    }
    let due = [retirement(ours, now), exchange(ours, &held.bundle(), carried, times, now)];
    let at_the_latest = |due: &[Result<Step, Option<Moment>>]| due.iter().filter_map(|due| due.err().flatten()).min();
    match due.iter().find_map(|due| due.ok()) {
        Some(step) if replica.leads => Ok(step),
        Some(_) => Err(Some(ours.signing.ends)),
        None => Err(at_the_latest(&due).into_iter().chain([ours.signing.ends]).min()),
    }
}

/// Where there is no CA. A hook that carries one says that there was one: then whoever knows less of it than the leader waits for the
/// leader, and who has only just started, for all the others. Where no hook does, whoever comes first makes one.
fn vacancy(carried: Option<&Carried>, replica: Replica, now: Moment) -> Result<Step, Option<Moment>> {
    let (step, pause) = if replica.remembers { (Step::Restore, LEADERS_TURN) } else { (Step::Make, WITNESSES_TURN) };
    let is_first = step == Step::Make && carried.is_some_and(|carried| carried.0.iter().all(Vec::is_empty));
    let turn = replica.missing_since.unwrap_or(now).saturating_add(pause);
    if replica.leads || is_first || turn <= now { Ok(step) } else { Err(Some(turn)) }
}

fn retirement(ours: &Ours, now: Moment) -> Result<Step, Option<Moment>> {
    match ours.others_until {
        Some(until) if !ours.others.is_empty() && until <= now => Ok(Step::Retire),
        Some(until) if !ours.others.is_empty() => Err(Some(until)),
        _ => Err(None),
    }
}

fn exchange(ours: &Ours, bundle: &[Certificate], carried: Option<&Carried>, times: &Times, now: Moment) -> Result<Step, Option<Moment>> {
    if ours.next.is_none() {
        let due = two_thirds(ours.signing.begins, ours.signing.ends);
        return if due <= now { Ok(Step::Prepare) } else { Err(Some(due)) };
    }
    // Not to know is no reason to take anything back, nor to go on.
    let Some(carried) = carried else { return Err(None) };
    match (carried.trusts(bundle), ours.trusted_since) {
        (false, Some(_)) => Ok(Step::Distrust),
        (false, None) => Err(None),
        // A note from the future is of no use.
        (true, Some(since)) if since <= now => {
            let settled = since.saturating_add(times.settle);
            if settled <= now { Ok(Step::Promote) } else { Err(Some(settled)) }
        }
        (true, _) => Ok(Step::Trust),
    }
}

/// Where two thirds of a time have passed.
pub fn two_thirds(begin: Moment, end: Moment) -> Moment {
    end.saturating_sub(end.saturating_sub(begin) / 3)
}

/// What a replica serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Who signed it.
    pub by: Certificate,
    /// When.
    pub issued: Moment,
    /// Not valid after.
    pub ends: Moment,
}

impl Leaf {
    /// From when on a new one is signed, as long as the CA is known to be the one in the Secret.
    pub fn due(&self) -> Moment {
        two_thirds(self.issued, self.ends)
    }

    /// From when on a new one is signed even by a CA that may have been exchanged meanwhile: this one would end.
    pub fn overdue(&self) -> Moment {
        self.ends.saturating_sub(self.ends.saturating_sub(self.issued) / 24)
    }
}

/// What is known about the CA that a leaf would be signed by.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// The CA.
    pub ca: &'a Certificate,
    /// All that the Secret says to trust.
    pub bundle: &'a [Certificate],
    /// Whether it [was foretold](Held::foretells). One that somebody put there was not, nor one in the place of one that had ended.
    pub is_foretold: bool,
    /// Whether the Secret was read just now. A CA of an hour ago may have been exchanged, and its certificates be refused before they
    /// end.
    pub is_fresh: bool,
    /// Since when all hooks are known to trust it.
    pub trusted_since: Option<Moment>,
}

/// Whether a new leaf is to be signed now.
pub fn renews(leaf: Option<&Leaf>, signing: &Signing<'_>, times: &Times, now: Moment) -> bool {
    if signing.ca.ends <= now {
        return false;
    }
    let Some(leaf) = leaf.filter(|leaf| leaf.ends > now && leaf.by.ends > now) else { return true };
    if signing.ca.begins > now {
        // Who has made it has another clock. What it signs is not believed yet.
        return false;
    }
    if leaf.by == *signing.ca {
        let is_longer = signing.ca.ends.min(now.saturating_add(times.leaf)) > leaf.ends;
        return is_longer && (leaf.overdue() <= now || (signing.is_fresh && leaf.due() <= now));
    }
    // As the plan goes, the old one is trusted for a while after it has signed, and the new one before it does. After any other
    // change the hooks have to know first.
    let is_planned = signing.is_foretold && signing.bundle.contains(&leaf.by);
    let is_settled = signing.trusted_since.is_some_and(|since| since.saturating_add(times.settle) <= now);
    is_planned || is_settled || leaf.overdue() <= now
}

#[cfg(test)]
mod model;
#[cfg(test)]
pub(super) mod tests;
