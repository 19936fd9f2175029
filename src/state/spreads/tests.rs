use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::spread::whitelist::MEMBER;

#[test]
fn all_spreads_are_looked_at_again_when_the_whitelist_changes_and_not_when_it_is_told_again() {
    let mut state = State::default();
    state.apply_spread(
        serde_json::from_value(json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread",
        "metadata": {"name": "a", "namespace": "shop"}, "spec": {"subsets": []}}))
        .unwrap(),
    );
    assert_eq!(state.take_touched().len(), 1);
    let data = BTreeMap::from([(MEMBER.to_owned(), r#"{"workloads": [{"Group": "g", "Kind": "K"}]}"#.to_owned())]);
    state.apply_configuration(&data);
    assert!(state.take_touched().len() == 1 && state.snapshot().spread_whitelist.is_target("g", "K"));
    state.apply_configuration(&data);
    assert!(state.take_touched().is_empty());
    state.delete_configuration();
    assert!(state.take_touched().len() == 1 && !state.snapshot().spread_whitelist.is_target("g", "K"));
}
