//! The reconciler of budgets: the picture, with what it needs of what is not mirrored.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use parking_lot::RwLock;

use crate::{
    budget::{
        picture::{Coordinates, Picture, Scale},
        plan::{plan, unsure, wanted},
        subject::Subject,
        tell::target_of,
    },
    cluster::facts::{Facts, Life},
    plan::Plan,
    state::State,
};

/// How many scales are asked for at a time.
const AT_ONCE: usize = 8;
/// How often more is asked for, since what was answered or has happened meanwhile makes it necessary.
const ROUNDS: usize = 3;

/// The plan for a budget; `None` if there is no such budget. What has to be asked for is asked first: the picture that the plan is made
/// from is taken when the answers are there.
pub async fn planned(state: &RwLock<State>, facts: &Facts, [namespace, name]: [&str; 2], now: impl Fn() -> Timestamp) -> Option<Plan> {
    let mut scales = BTreeMap::new();
    for _ in 0..ROUNDS {
        let picture = picture(state, [namespace, name], &scales)?;
        if wanted(&picture).is_empty() {
            return Some(made_sure(picture, facts, now()).await);
        }
        scales.extend(asked(&picture, facts).await);
    }
    // What is still open counts as what it was.
    Some(made_sure(picture(state, [namespace, name], &scales)?, facts, now()).await)
}

/// The plan, when it is sure that pods whose time is over are still there. Of those that nobody can tell it is not.
async fn made_sure(picture: Picture, facts: &Facts, now: Timestamp) -> Plan {
    let is_behind = |pod: Arc<Subject>| async move {
        let live = facts.life_of(&target_of(&pod)).await;
        let is_sure = matches!(live, Ok(Life::Stays { uid }) if *uid == *pod.uid);
        (!is_sure).then(|| Arc::clone(&pod.name))
    };
    let questions = stream::iter(unsure(&picture, now).into_iter().map(is_behind)).buffer_unordered(AT_ONCE);
    let behind = questions.filter_map(|behind| async move { behind }).collect().await;
    plan(&Picture { behind, ..picture }, now)
}

fn picture(state: &RwLock<State>, [namespace, name]: [&str; 2], scales: &BTreeMap<Coordinates, Scale>) -> Option<Picture> {
    let picture = state.read().snapshot().picture_of_budget(namespace, name)?;
    Some(Picture { scales: scales.clone(), ..picture })
}

async fn asked(picture: &Picture, facts: &Facts) -> Vec<(Coordinates, Scale)> {
    let namespace = &picture.budget.namespace;
    let questions = wanted(picture).into_iter().map(|owner| async move { (owner.coordinates(), facts.scales.of(namespace, &owner).await) });
    stream::iter(questions).buffer_unordered(AT_ONCE).collect().await
}
