//! Rollouts in a simulated cluster: kubelets that answer late, images that never come up, users who change their minds, pods that come and
//! go, and a picture that lags. After each step it is held against what a rollout promises; when everybody has calmed down, it has to end.

mod users;
mod world;

use proptest::prelude::*;
use serde_json::json;

use self::{
    users::Step,
    world::{Setting, World},
};

fn hold(setting: &Setting, steps: &[Step]) {
    let mut world = World::of(setting);
    for step in steps {
        world.step(step);
    }
    world.calm_down();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_rollout_keeps_its_promises_whatever_happens(setting in users::settings(), steps in proptest::collection::vec(users::steps(), 0..120)) {
        hold(&setting, &steps);
    }
}
