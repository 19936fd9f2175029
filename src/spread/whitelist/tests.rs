use super::*;

fn of(text: &str) -> Whitelist {
    Whitelist::of(&BTreeMap::from([(MEMBER.to_owned(), text.to_owned())]))
}

/// With keys as they occur in the field.
const MIXED: &str = r#"{"Workloads": [
    {"Group": "game.example.com", "Version": "v1", "Kind": "Arena", "replicasPath": "spec.seats",
     "subResources": [{"Group": "game.example.com", "version": "v1", "KIND": "Table"}]},
    {"group": "ml.example.com", "version": "v1", "kind": "Training", "ReplicasPath": "spec.workers", "subresources": null, "other": 1},
    {"kind": "Plain", "replicaspath": ""}]}"#;

#[test]
fn kinds_are_told_by_group_and_kind_in_whatever_letters_the_list_names_its_members() {
    let list = of(MIXED);
    assert_eq!(list.problem(), None);
    for (group, kind, is_target, is_walkable, path) in [
        ("game.example.com", "Arena", true, true, Some("spec.seats")),
        ("game.example.com", "Table", false, true, None),
        ("ml.example.com", "Training", true, true, Some("spec.workers")),
        ("ml.example.com", "Arena", false, false, None),
        ("", "Plain", true, true, None),
        ("game.example.com", "arena", false, false, None),
    ] {
        assert_eq!(
            (list.is_target(group, kind), list.is_walkable(group, kind), list.replicas_path(group, kind)),
            (is_target, is_walkable, path),
            "{kind}"
        );
    }
}

#[test]
fn none_allows_nothing_and_is_no_trouble() {
    for list in [Whitelist::of(&BTreeMap::new()), of("{}"), of(r#"{"workloads": null}"#), of(r#"{"workloads": []}"#)] {
        assert_eq!(list, Whitelist::default());
        assert!(!list.is_walkable("", "") && !list.is_target("apps", "Deployment"));
    }
}

#[test]
fn one_that_cannot_be_read_allows_nothing_and_says_where_it_is_wrong() {
    for (text, said) in [
        ("", "EOF"),
        (r#"{"workloads": [{"Kind": "Arena"},]}"#, "trailing comma"),
        (r#"{"workloads": []} {}"#, "trailing characters"),
        ("[]", ".: expected an object"),
        (r#"{"workloads": {}}"#, "workloads: expected a list"),
        (r#"{"workloads": [7]}"#, "workloads[0]: expected an object"),
        (r#"{"workloads": [{}, {"Kind": 7}]}"#, "workloads[1].kind: expected a string"),
        (r#"{"workloads": [{"SubResources": [{"group": []}]}]}"#, "workloads[0].subResources[0].group: expected a string"),
        (r#"{"workloads": [{"replicaspath": 1}]}"#, "workloads[0].replicasPath: expected a string"),
    ] {
        let list = of(text);
        assert!(
            list.problem().is_some_and(|problem| problem.starts_with(MEMBER) && problem.contains(said)),
            "{text}: {:?}",
            list.problem()
        );
        assert!(!list.is_target("", "Arena"));
    }
}

#[test]
fn of_members_that_differ_in_letters_alone_the_last_counts() {
    let list = of(r#"{"workloads": [{"kind": "A"}], "WORKLOADS": [{"kind": "B", "Kind": "C"}]}"#);
    assert!(list.is_target("", "C") && !list.is_target("", "A") && !list.is_target("", "B"));
}
