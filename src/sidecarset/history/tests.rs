use proptest::{prelude::*, sample::select as pick};
use serde_json::json;

use self::world::{Cluster, revision, set, set_of, told, with};
use super::{
    super::{keys, revision::restore},
    *,
};

mod recorded_revisions;
mod world;

#[test]
fn a_set_is_recorded_once_and_again_when_it_changes() {
    let mut cluster = Cluster::default();
    assert_eq!(told(&cluster.register(&set("a:1"), &[])), ["create unnamed as 1"]);
    let more = set_of(&json!({
        "containers": [{"name": "log", "image": "a:1"}], "initContainers": [{"name": "boot"}], "volumes": [{"name": "v", "emptyDir": {}}],
        "imagePullSecrets": [{"name": "p"}], "patchPodMetadata": [{"annotations": {"k": "v"}, "patchPolicy": "Retain"}],
    }));
    let first = cluster.recorded[0].name.clone();
    for round in 0..5 {
        let want: &[&str] = if round == 0 { &["create unnamed as 2"] } else { &[] };
        let registration = cluster.register(&more, &[]);
        assert_eq!(told(&registration), want);
        assert_eq!(registration.latest, cluster.recorded[1].name);
    }
    let spec = &cluster.recorded[1].data["spec"];
    for member in ["containers", "initContainers", "volumes", "imagePullSecrets", "patchPodMetadata"] {
        assert_eq!(spec[member].as_array().unwrap().len(), 1, "{member}");
    }
    for round in 0..5 {
        let registration = cluster.register(&set("a:1"), &[]);
        let want = if round == 0 { vec![format!("renumber {first} to 3")] } else { vec![] };
        assert_eq!((told(&registration), registration.latest), (want, first.clone()));
    }
}

#[test]
fn what_is_recorded_is_what_the_set_adds_and_nothing_else() {
    let image = with(set("a"), |set| {
        set.metadata.labels =
            Some([("team", "x"), (keys::SET_NAME, "stolen")].map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let annotations = [(keys::HASH, "h"), (keys::HASH_WITHOUT_IMAGE, "w"), ("kubectl.kubernetes.io/last-applied-configuration", "{}")];
        set.metadata.annotations = Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        set.spec.custom_version = Some("v1".to_owned());
        set.spec.revision_history_limit = Some(3);
    });
    let registration = register(&image, &[], &BTreeSet::new(), "own");
    let [Step::Create(object)] = registration.steps.as_slice() else { panic!("{registration:?}") };
    let data = r#"{"spec":{"$patch":"replace","containers":[{"image":"a","name":"log","resources":{},"shareVolumePolicy":{},"upgradeStrategy":{}}],"imagePullSecrets":null,"initContainers":null,"patchPodMetadata":null,"volumes":null}}"#;
    assert_eq!(object["data"].to_string(), data);
    let hash = crate::base::hash::short(&[data, "0"]);
    let want = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": format!("s-{hash}"), "namespace": "own",
            "labels": {
                "team": "x", "kruise.io/sidecarset-name": "s", "apps.kruise.io/sidecarset-custom-version": "v1",
                "controller.kubernetes.io/hash": hash,
            },
            "annotations": {
                "kruise.io/sidecarset-hash": "h", "kruise.io/sidecarset-hash-without-image": "w",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
            "ownerReferences": [{
                "apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "name": "s", "uid": "mine",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "data": object["data"], "revision": 1,
    });
    assert_eq!(*object, want);
    assert_eq!((registration.latest, registration.collision_count), (format!("s-{hash}"), 0));
}

#[test]
fn texts_are_hashed_with_the_escapes_of_html_and_members_that_nobody_knows_are_kept() {
    let container =
        json!({"name": "log", "command": ["a && b"], "future": {"b": 1, "a": null}, "args": [], "stdin": false, "securityContext": {}});
    let registration = register(&set_of(&json!({"containers": [container]})), &[], &BTreeSet::new(), "own");
    let text = concat!(
        r#"{"spec":{"$patch":"replace","containers":[{"command":["a \u0026\u0026 b"],"future":{"a":null,"b":1},"name":"log","resources":{},"#,
        r#""securityContext":{},"shareVolumePolicy":{},"upgradeStrategy":{}}],"imagePullSecrets":null,"initContainers":null,"#,
        r#""patchPodMetadata":null,"volumes":null}}"#,
    );
    assert_eq!(registration.latest, format!("s-{}", crate::base::hash::short(&[text, "0"])));
    let [Step::Create(object)] = registration.steps.as_slice() else { panic!("{registration:?}") };
    assert_eq!(object["data"], serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn a_set_comes_back_from_what_was_recorded_of_it() {
    let container = json!({"name": "log", "image": "a", "command": ["<&>"], "resources": {"limits": {"cpu": "100m"}}, "future": {"a": null},
        "transferEnv": [{"sourceContainerName": "web", "envName": "A"}]});
    let was = set_of(&json!({
        "containers": [container], "initContainers": [{"name": "boot", "restartPolicy": "Always", "resources": {}}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "w", "future": {"a": []}}],
        "imagePullSecrets": [{"name": "p"}], "patchPodMetadata": [{"annotations": {"k": "v"}, "patchPolicy": "Overwrite"}],
    }));
    let mut cluster = Cluster::default();
    cluster.register(&was, &[]);
    let restored = restore(&set("b"), &cluster.recorded[0]).unwrap();
    assert_eq!(serde_json::to_value(&restored.spec).unwrap(), serde_json::to_value(&was.spec).unwrap());
    assert_eq!(told(&cluster.register(&restored, &[])), [""; 0]);
}

#[test]
fn only_what_a_pod_gets_is_recorded() {
    let mut cluster = Cluster::default();
    cluster.register(&set("a"), &[]);
    let other = with(set("a"), |set| {
        set.spec.selector = Some(serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap());
        set.spec.update_strategy.paused = true;
        set.spec.volumes = Vec::new();
        set.spec.init_containers = Some(Vec::new());
        set.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    });
    assert_eq!(told(&cluster.register(&other, &[])), [""; 0]);
}

#[test]
fn a_hundred_changes_leave_as_many_revisions_as_the_set_wants() {
    for (limit, want) in [(None, 10), (Some(3), 3), (Some(1), 1), (Some(0), 1), (Some(-5), 1)] {
        let mut cluster = Cluster::default();
        for image in 0..100 {
            let changed = with(set(&image.to_string()), |set| set.spec.revision_history_limit = limit);
            assert_eq!(cluster.register(&changed, &[]).overflow, None);
        }
        assert_eq!(cluster.recorded.len(), want, "{limit:?}");
        let numbers: Vec<_> = cluster.recorded.iter().map(|revision| revision.number).collect();
        assert!(numbers.is_sorted() && numbers.last() == Some(&100), "{numbers:?}");
    }
}

/// Fifteen revisions `1` to `15`, of which the last records the set; as many pods use the oldest.
fn fifteen(in_use: usize) -> (Cluster, Registration) {
    let mut cluster = Cluster::of((1..=15).map(|number| revision(&number.to_string(), number, &set(&number.to_string()), None)));
    let used: Vec<_> = (1..=in_use).map(|number| number.to_string()).collect();
    let registration = cluster.register(&set("15"), &used.iter().map(String::as_str).collect::<Vec<_>>());
    (cluster, registration)
}

#[test]
fn the_oldest_that_nobody_uses_are_deleted() {
    for (in_use, want) in [
        (0, "6 7 8 9 10 11 12 13 14 15"),
        (8, "1 2 3 4 5 6 7 8 14 15"),
        (9, "1 2 3 4 5 6 7 8 9 15"),
        (10, "1 2 3 4 5 6 7 8 9 10 15"),
        (14, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"),
    ] {
        assert_eq!(fifteen(in_use).0.names().join(" "), want, "{in_use} in use");
    }
}

#[test]
fn too_many_in_use_are_said_and_kept() {
    for (in_use, actual) in [(9, None), (10, Some(11)), (11, Some(12)), (14, Some(15)), (15, Some(15)), (20, Some(15))] {
        let want = actual.map(|actual| format!("failed to limit the number of stored revisions, limited: 10, actual: {actual}, name: s"));
        assert_eq!(fifteen(in_use).1.overflow, want, "{in_use} in use");
    }
}

#[test]
fn what_new_pods_are_to_get_is_kept() {
    let version = |number: i64, version: &str| with(set(&number.to_string()), |set| set.spec.custom_version = Some(version.to_owned()));
    let recorded = || {
        let versions = [(1, "v"), (2, "v"), (3, "w"), (4, "x")];
        Cluster::of(versions.map(|(number, named)| revision(&number.to_string(), number, &version(number, named), Some("mine"))))
    };
    for (asked, want) in [
        (Value::Null, "4"),
        (json!({"customVersion": "v"}), "2 4"),
        (json!({"customVersion": "w"}), "3 4"),
        (json!({"customVersion": "gone"}), "4"),
        (json!({"revisionName": "1"}), "1 4"),
        (json!({"revisionName": "1", "customVersion": "w"}), "1 3 4"),
        (json!({"revisionName": "gone"}), "4"),
    ] {
        let now = with(version(4, "x"), |set| {
            set.spec.revision_history_limit = Some(1);
            set.spec.injection_strategy.revision = serde_json::from_value(asked.clone()).unwrap();
        });
        let mut cluster = recorded();
        cluster.register(&now, &[]);
        assert_eq!(cluster.names().join(" "), want, "{asked}");
    }
}

#[test]
fn a_custom_version_moves_to_the_revision_that_records_the_set_now() {
    let version = |image: &str, version: Option<&str>| with(set(image), |set| set.spec.custom_version = version.map(str::to_owned));
    let mut cluster = Cluster::default();
    cluster.register(&version("a", Some("v1")), &[]);
    cluster.register(&version("b", Some("v2")), &[]);
    let [a, b] = [0, 1].map(|index: usize| cluster.recorded[index].name.clone());
    for (image, named, want) in [
        ("b", Some("v2"), vec![]),
        ("b", None, vec![]),
        ("b", Some(""), vec![]),
        ("b", Some("v3"), vec![format!("label {b} v3")]),
        ("a", Some("v3"), vec![format!("renumber {a} to 3"), format!("label {a} v3")]),
        ("b", None, vec![format!("renumber {b} to 4")]),
        ("a", Some("v3"), vec![format!("renumber {a} to 5")]),
    ] {
        assert_eq!(told(&cluster.register(&version(image, named), &[])), want, "{image} {named:?}");
    }
}

#[test]
fn a_step_holds_to_the_version_that_was_read_unless_a_step_before_changed_it() {
    let recorded = [revision("a", 1, &set("a"), None), revision("b", 2, &set("b"), None)].map(Arc::new);
    let versioned = |image: &str| with(set(image), |set| set.spec.custom_version = Some("v".to_owned()));
    let read = Some("1".to_owned());
    let label = |name: &str, resource_version| Step::Label { name: name.to_owned(), resource_version, custom_version: "v".to_owned() };
    assert_eq!(register(&versioned("b"), &recorded, &BTreeSet::new(), "own").steps, [label("b", read.clone())]);
    let renumber = Step::Renumber { name: "a".to_owned(), resource_version: read, number: 3 };
    assert_eq!(register(&versioned("a"), &recorded, &BTreeSet::new(), "own").steps, [renumber, label("a", None)]);
}

#[test]
fn a_name_that_another_content_has_is_a_collision() {
    let image = set("a");
    let wanted = Recording::of(&image);
    let taken = [0, 1].map(|count| revision(&wanted.name(count), 5 + i64::from(count), &set("other"), Some("mine")));
    let mut cluster = Cluster::of(taken);
    let registration = cluster.register(&set("a"), &[]);
    assert_eq!((registration.latest.as_str(), registration.collision_count), (wanted.name(2).as_str(), 2));
    let [Step::Create(object)] = registration.steps.as_slice() else { panic!("{registration:?}") };
    assert_eq!(object["revision"], 7);
    // The label is that of the first try, which the reference leaves as well.
    assert_eq!(object["metadata"]["labels"][keys::REVISION_HASH], wanted.name(0).trim_start_matches("s-"));
    // Created, but the status that was to say so was not written.
    let uncounted = cluster.register(&set("a"), &[]);
    assert_eq!((uncounted.latest, uncounted.collision_count, uncounted.steps), (wanted.name(2), 2, vec![]));
    let counted = with(set("a"), |set| set.status.get_or_insert_default().collision_count = Some(2));
    let again = cluster.register(&counted, &[]);
    assert_eq!((again.latest, again.collision_count, again.steps), (wanted.name(2), 2, vec![]));
    let next = with(set("b"), |set| set.status.get_or_insert_default().collision_count = Some(2));
    assert_eq!(register(&next, &cluster.recorded, &BTreeSet::new(), "own").latest, Recording::of(&set("b")).name(2));
}

#[test]
fn a_revision_of_a_deleted_set_of_the_same_name_is_not_used_and_not_touched() {
    let name = Recording::of(&set("a")).name(0);
    let foreign = |number| revision(&name, number, &set("a"), Some("deleted"));
    let mut cluster = Cluster::of([foreign(7)]);
    let limited = with(set("a"), |set| {
        set.spec.revision_history_limit = Some(1);
        set.spec.custom_version = Some("v".to_owned());
    });
    let registration = cluster.register(&limited, &[]);
    assert_eq!((told(&registration), registration.collision_count), (vec!["create v as 1".to_owned()], 1));
    assert_eq!(*cluster.recorded[0], foreign(7));
    assert_eq!(cluster.register(&limited, &[]).steps, []);
    // One that nobody controls is as good as the set's own.
    let mut cluster = Cluster::of([revision(&name, 7, &set("a"), None)]);
    assert_eq!(told(&cluster.register(&limited, &[])), [format!("label {name} v")]);
}

#[test]
fn a_revision_of_another_set_only_takes_its_name() {
    let name = Recording::of(&set("a")).name(0);
    for label in [Some("other".to_owned()), None] {
        let mut cluster = Cluster::of([Revision { set_name: label, ..revision(&name, 7, &set("a"), Some("mine")) }]);
        let registration = cluster.register(&set("a"), &[]);
        assert_eq!((told(&registration), registration.collision_count), (vec!["create unnamed as 1".to_owned()], 1));
    }
}

#[test]
fn a_set_is_told_of_its_own_revisions_and_of_those_that_have_names_it_might_want() {
    let mut revisions = Revisions::default();
    for (name, label) in [("s-1", Some("s")), ("s-2", Some("other")), ("s-3", None), ("sx-1", None), ("s", None), ("t", Some("s"))] {
        revisions.insert(Revision { set_name: label.map(str::to_owned), ..revision(name, 1, &set("a"), None) });
    }
    let names: BTreeSet<_> = concerning(&revisions, "s").into_iter().map(|revision| revision.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["s-1", "s-2", "s-3", "t"]));
}

#[test]
fn a_set_from_a_file_without_a_uid_keeps_its_revisions() {
    let loose = with(set("a"), |set| set.metadata.uid = None);
    let mut cluster = Cluster::of([revision("r", 1, &set("a"), Some("whose"))]);
    assert_eq!(cluster.register(&loose, &[]).steps, []);
    let registration = register(&loose, &[], &BTreeSet::new(), "own");
    let [Step::Create(object)] = registration.steps.as_slice() else { panic!("{registration:?}") };
    assert!(object["metadata"].get("ownerReferences").is_none());
}

#[test]
fn the_greatest_number_there_is_does_not_break_the_history() {
    for (newest, latest) in [("a", "b"), ("b", "a")] {
        let mut cluster = Cluster::of([revision(newest, i64::MAX, &set(newest), None), revision(latest, 1, &set(latest), None)]);
        assert_eq!(cluster.register(&set(latest), &[]).latest, latest);
        assert_eq!(cluster.register(&set(latest), &[]).steps, []);
    }
}

/// Contents, owners, numbers and versions of a few revisions, some of which may stand in each other's way.
fn recorded() -> impl Strategy<Value = Vec<Revision>> {
    let owner = pick(&[None, Some("mine"), Some("deleted")][..]);
    let version = pick(&[None, Some("v"), Some("w")][..]);
    let one = (0..4u8, 0..4u8, any::<bool>(), -1..5i64, owner, version);
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let mut named = std::collections::BTreeMap::new();
        for (content, called, has_its_name, number, owner, version) in all {
            let recorded = with(set(&content.to_string()), |set| set.spec.custom_version = version.map(str::to_owned));
            let like = Recording::of(&set(&called.to_string())).name(i32::from(content) % 2);
            let name = if has_its_name { like } else { format!("r{number}-{content}") };
            named.insert(name.clone(), revision(&name, number, &recorded, owner));
        }
        named.into_values().collect()
    })
}

fn any_set() -> impl Strategy<Value = SidecarSet> {
    let asked = prop_oneof![Just(Value::Null), Just(json!({"customVersion": "v"})), Just(json!({"revisionName": "r1-1"}))];
    let version = pick(&[None, Some("v"), Some("w"), Some("")][..]);
    (0..5u8, version, proptest::option::of(-1..5i32), asked).prop_map(|(content, version, limit, asked)| {
        with(set(&content.to_string()), |set| {
            set.spec.custom_version = version.map(str::to_owned);
            set.spec.revision_history_limit = limit;
            set.spec.injection_strategy.revision = serde_json::from_value(asked).unwrap();
        })
    })
}

proptest! {
    #[test]
    fn after_its_steps_nothing_is_left_to_do(recorded in recorded(), sets in proptest::collection::vec((any_set(), any::<u16>()), 1..6)) {
        let mut cluster = Cluster::of(recorded);
        let mut collisions = 0;
        for (mut set, used) in sets {
            set.status.get_or_insert_default().collision_count = Some(collisions);
            let before = cluster.clone();
            let in_use: Vec<_> = before.names().into_iter().enumerate().filter(|(at, _)| used >> at & 1 == 1).map(|(_, name)| name).collect();
            let registration = cluster.register(&set, &in_use);
            // Even where the status with the count was not written.
            prop_assert_eq!(&cluster.clone().register(&set, &in_use).steps, &[]);
            collisions = registration.collision_count;
            set.status.get_or_insert_default().collision_count = Some(collisions);
            let again = cluster.clone().register(&set, &in_use);
            prop_assert_eq!(&again, &Registration { steps: Vec::new(), ..registration.clone() });
            let latest = cluster.recorded.iter().find(|revision| revision.name == registration.latest).unwrap();
            prop_assert_eq!(latest.fingerprint, Recording::of(&set).fingerprint);
            prop_assert_ne!(latest.owner_uid.as_deref(), Some("deleted"));
            let own: Vec<_> = cluster.recorded.iter().filter(|revision| is_own(&set, revision)).collect();
            prop_assert_eq!(&own.iter().max_by_key(|revision| revision.age()).unwrap().name, &latest.name);
            let limit = set.spec.revision_history_limit.map_or(10, |limit| usize::try_from(limit).unwrap_or_default().max(1));
            prop_assert_eq!(own.len() > limit, registration.overflow.is_some());
            let lost: Vec<_> = before.recorded.iter().filter(|revision| !cluster.names().contains(&revision.name.as_str())).collect();
            prop_assert!(lost.iter().all(|revision| is_own(&set, revision) && !in_use.contains(&revision.name.as_str())));
            prop_assert!(lost.is_empty() || own.len() >= limit, "more are deleted than the set wants");
        }
    }
}
