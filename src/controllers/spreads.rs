//! The reconciler of spreads: the picture, with what it needs of what is not mirrored.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::RwLock;

use crate::{
    budget::picture::Scale,
    cluster::{apply::Failure, facts::Facts},
    plan::Plan,
    spread::{
        index::Spread,
        picture::{Picture, Scaled},
        plan::{Tally, look, strangers},
    },
    state::State,
};

/// What is not mirrored is asked for again after so long.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Pods that came while others were asked about have their turn after so long.
const ASK_SOON: SignedDuration = SignedDuration::from_secs(1);

/// A plan, and what comes with it.
pub struct Made {
    /// The plan.
    pub plan: Plan,
    /// What is counted elsewhere.
    pub tally: Tally,
    /// The pods of this namespace have to be listed, and the plan made again.
    pub look: Option<Arc<str>>,
}

/// What was asked for.
#[derive(Default)]
struct Asked {
    total: Option<i32>,
    scaled: Scaled,
    problems: Vec<String>,
    /// The answers hold for a while only.
    is_passing: bool,
}

/// The plan for a spread; `None` if there is no such spread. What has to be asked for is asked first: the picture that the plan is made
/// from is taken when the answers are there. Fails if there is no answer: counts that are wrong are worse than old ones.
pub async fn planned(
    state: &RwLock<State>,
    facts: &Facts,
    [namespace, name]: [&str; 2],
    now: impl Fn() -> Timestamp,
) -> Result<Option<Made>, Failure> {
    let taken = || state.read().snapshot().picture_of_spread(namespace, name);
    let Some(first) = taken() else { return Ok(None) };
    if first.spread.is_terminating {
        return Ok(Some(made(&first, now())));
    }
    let asked = asked(state, facts, &first).await?;
    let first = first.selecting(&asked.scaled);
    let alien: Vec<_> = strangers(&first).cloned().collect();
    let fits = if alien.is_empty() { BTreeMap::new() } else { facts.fits(&first.spread, &alien).await? };
    let is_last = !asked.is_passing && alien.is_empty();
    let Some(picture) = (if is_last { Some(first) } else { taken() }) else { return Ok(None) };
    let picture = picture.selecting(&asked.scaled);
    let picture = Picture { total: asked.total.unwrap_or(picture.total), problems: asked.problems, fits, ..picture };
    let mut made = made(&picture, now());
    let soon = strangers(&picture).next().map(|_| ASK_SOON);
    let later = asked.is_passing.then_some(ASK_AGAIN);
    made.plan.again = made.plan.again.into_iter().chain(soon).chain(later).min();
    Ok(Some(made))
}

fn made(picture: &Picture, now: Timestamp) -> Made {
    let (plan, tally, needs_list) = look(picture, now);
    Made { plan, tally, look: needs_list.then(|| Arc::clone(&picture.spread.namespace)) }
}

/// How many pods there should be, and which may be meant, where the mirror does not say so.
async fn asked(state: &RwLock<State>, facts: &Facts, picture: &Picture) -> Result<Asked, Failure> {
    let spread = &*picture.spread;
    let Some(target) = &spread.rules.target else { return Ok(Asked::default()) };
    let owner = target.owner();
    let (paths, known, is_mirrored) = {
        let state = state.read();
        let snapshot = state.snapshot();
        (snapshot.paths_of(spread), snapshot.total_of(spread), snapshot.is_mirrored(&target.group, &target.kind))
    };
    let mut asked = Asked::default();
    if !is_mirrored && (!picture.candidates.is_empty() || (spread.rules.has_percentages() && paths.is_empty())) {
        asked.is_passing = true;
        match facts.scales.of(&spread.namespace, &owner).await {
            Scale::Found(workload) => asked.scaled = Scaled { total: workload.wanted(), selector: workload.selector.clone() },
            Scale::Unanswered(problem) => return Err(Failure::Unknown(problem)),
            Scale::Missing => {}
            // Who names the numbers himself needs none.
            Scale::UnknownKind | Scale::NoScale | Scale::Forbidden if !paths.is_empty() => {}
            Scale::UnknownKind => asked.problems.push("spec.targetRef: there is no such kind".to_owned()),
            Scale::NoScale => asked.problems.push("spec.targetRef: objects of this kind have no scale: percentages are of 0".to_owned()),
            Scale::Forbidden => asked.problems.push("spec.targetRef: its scale may not be read: percentages are of 0".to_owned()),
        }
        asked.total = Some(asked.scaled.total);
    }
    if spread.rules.has_percentages() && (!paths.is_empty() || (is_mirrored && known.is_none())) {
        asked.is_passing = true;
        asked.of_object(state, spread, facts.scales.kinds.object(&spread.namespace, &owner).await)?;
    }
    Ok(asked)
}

impl Asked {
    /// What the target itself says; of one that is not there no pods are wanted.
    fn of_object(
        &mut self,
        state: &RwLock<State>,
        spread: &Spread,
        found: Result<Option<serde_json::Value>, Failure>,
    ) -> Result<(), Failure> {
        match found {
            Ok(found) => {
                let wanted = found.map(|object| state.read().snapshot().wanted_in(spread, &object));
                let (total, errors) = wanted.unwrap_or_default();
                self.total = Some(total);
                self.problems.extend(errors.iter().map(|error| format!("spec.targetFilter.replicasPathList: {error}")));
            }
            Err(Failure::Refused(problem)) => {
                self.total = Some(0);
                self.problems.push(format!("spec.targetRef: it may not be read, and percentages are of 0: {problem}"));
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}
