//! The condition `SidecarSetUpgradable` of a pod, which all of its sets share: whether the pod can be brought to the present
//! revision by changing images. (`pkg/control/sidecarcontrol/util.go`: `UpdatePodSidecarSetUpgradableCondition`)
//!
//! It is written when it says something new. A pod that was never kept back has none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::{change::target, keys::UPGRADABLE, member::Member, rollout::Rollout};
use crate::{
    base::go_json,
    plan::{Action, Form, Patch},
};

/// The request that makes the condition say this of the set; `None` if it does.
pub fn record(member: &Member, rollout: &Rollout, is_upgradable: bool, now: Timestamp) -> Option<Action> {
    let present = member.marks.upgradable.as_deref();
    if is_upgradable && present.is_none() {
        return None;
    }
    let says = present.into_iter().flatten().find(|(set, _)| **set == *rollout.name).map(|(_, says)| *says);
    // Nothing was ever in the way: no need to say so.
    if says == Some(is_upgradable) || (says.is_none() && is_upgradable) {
        return None;
    }
    // Sets that have left the pod have no say any more.
    let is_member = |set: &str| member.marks.sets.iter().any(|listed| **listed == *set);
    let mut all: BTreeMap<&str, bool> =
        present.into_iter().flatten().map(|(set, says)| (&**set, *says)).filter(|(set, _)| is_member(set)).collect();
    let was = present.is_some_and(|all| all.iter().all(|(_, says)| *says));
    all.insert(&rollout.name, is_upgradable);
    let is_all = all.values().all(|says| *says);
    let mut message = String::new();
    go_json::write_members(&mut message, all, |out, says| out.push_str(if says { "true" } else { "false" }));
    let (status, reason) = if is_all { ("True", "AllSidecarsetUpgradable") } else { ("False", "UpdateImmutableField") };
    let mut condition = json!({"type": UPGRADABLE, "status": status, "reason": reason, "message": message});
    if let (true, Some(members)) = (present.is_none() || was != is_all, condition.as_object_mut()) {
        members.insert("lastTransitionTime".to_owned(), now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    }
    // Two sets may write at the same time: the version makes the later one look again.
    let body = json!({"metadata": {"resourceVersion": member.pod.resource_version}, "status": {"conditions": [condition]}});
    Some(Action::Patch(Patch { target: target(member), sub_resource: "status", form: Form::Strategic, body }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sidecarset::fixtures::{member, rollout};

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn recorded(message: Option<&str>, sets: &str, says: bool) -> Option<Value> {
        let mut pod = json!({"metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7", "annotations": {"kruise.io/sidecarset-injected-list": sets}}});
        if let Some(message) = message {
            let is_all = !message.contains("false");
            pod["status"] =
                json!({"conditions": [{"type": UPGRADABLE, "status": if is_all { "True" } else { "False" }, "message": message}]});
        }
        match record(&member(pod), &rollout("log", json!({})), says, NOW)? {
            Action::Patch(patch) => Some(patch.body["status"]["conditions"][0].clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_written_when_it_says_something_new() {
        assert_eq!(recorded(None, "log", true), None);
        assert_eq!(recorded(Some(r#"{"log":false}"#), "log", false), None);
        assert_eq!(
            recorded(None, "log", false).unwrap(),
            json!({"type": UPGRADABLE, "status": "False", "reason": "UpdateImmutableField", "message": r#"{"log":false}"#, "lastTransitionTime": "2027-01-15T08:00:00Z"})
        );
        assert_eq!(recorded(Some(r#"{"log":false}"#), "log", true).unwrap()["status"], "True");
    }

    #[test]
    fn one_set_that_cannot_is_enough() {
        let condition = recorded(Some(r#"{"log":false,"mesh":false}"#), "log,mesh", true).unwrap();
        assert_eq!(condition["message"], r#"{"log":true,"mesh":false}"#);
        assert_eq!((condition["status"].as_str(), condition.get("lastTransitionTime")), (Some("False"), None));
    }

    #[test]
    fn a_set_that_has_left_the_pod_has_no_say() {
        assert_eq!(recorded(Some(r#"{"gone":false,"log":false}"#), "log", true).unwrap()["message"], r#"{"log":true}"#);
    }
}
