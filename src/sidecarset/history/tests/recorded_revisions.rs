//! What the reference itself recorded comes out of the sets that it recorded.

use super::{
    super::super::{keys, recorded, revision::restore, v1alpha1::to_v1beta1},
    *,
};

/// The cases in which the reference's controller recorded something.
const RECORDINGS: [(&str, &str); 3] =
    [("inject", "ss-inject-rev-recorded"), ("inject", "ss-inject-v1alpha1-custom-version"), ("sidecarset", "set-revision-recorded")];

/// All objects of the recorded states, with the case that they are of.
fn objects(cases: &[(&str, &str)]) -> Vec<(String, Value)> {
    let cases = cases.iter().flat_map(|(folder, prefix)| recorded::cases(folder, prefix));
    let objects = cases.flat_map(|(case, content)| {
        let state = content["state"].as_array().cloned().unwrap_or_default();
        let steps = content["steps"].as_array().into_iter().flatten();
        let read = steps.flat_map(|step| step["read"].as_array().cloned().unwrap_or_default());
        state.into_iter().chain(read).map(move |object| (case.clone(), object)).collect::<Vec<_>>()
    });
    objects.collect()
}

fn sets(objects: &[(String, Value)]) -> Vec<(String, SidecarSet)> {
    let sets = objects.iter().filter(|(_, object)| object["kind"] == "SidecarSet").cloned().map(|(case, mut set)| {
        if set["apiVersion"] == "apps.kruise.io/v1alpha1" {
            to_v1beta1(&mut set).unwrap();
        }
        (case, serde_json::from_value(set).unwrap())
    });
    sets.collect()
}

/// Those that were made by hand, to be injected, have no hash.
fn is_recording(object: &Value) -> bool {
    object["kind"] == "ControllerRevision" && !object["metadata"]["labels"][keys::REVISION_HASH].is_null()
}

#[test]
fn every_stored_set_gets_the_latest_revision_that_the_reference_gave_it() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (case, set) in sets(&objects(&[("inject", "ss-"), ("sidecarset", "set-")])) {
        let Some(want) = set.status.as_ref().and_then(|status| status.latest_revision.as_deref()).filter(|name| !name.is_empty()) else {
            continue;
        };
        let latest = register(&set, &[], &BTreeSet::new(), "kruise-system").latest;
        if latest != want {
            wrong.push(format!("{case}: {latest} instead of {want}"));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 150, "only {compared} were compared");
}

/// The set as it was when the revision was recorded of it.
fn as_recorded(set: &SidecarSet, object: &Value) -> SidecarSet {
    let mut was = restore(set, &Revision::from_object(object).unwrap()).unwrap();
    was.status = None;
    was.spec.custom_version = object["metadata"]["labels"][keys::CUSTOM_VERSION].as_str().map(str::to_owned);
    was
}

#[test]
fn what_the_reference_recorded_comes_out_of_the_set_as_it_was() {
    let mut verified = Vec::new();
    let objects = objects(&RECORDINGS);
    let sets = sets(&objects);
    for (case, mut object) in objects.into_iter().filter(|(_, object)| is_recording(object)) {
        let (_, set) = sets.iter().find(|(of, _)| *of == case).unwrap();
        let was = as_recorded(set, &object);
        // The first was recorded over nothing, the second over the first.
        let number = object["revision"].as_i64().unwrap();
        let before = Arc::new(Revision { number: number - 1, ..owned_revision("before", &was) });
        let history: Vec<_> = [before].into_iter().filter(|_| number > 1).collect();
        let registration = register(&was, &history, &BTreeSet::new(), "kruise-system");
        for member in ["uid", "resourceVersion", "creationTimestamp"] {
            object["metadata"].as_object_mut().unwrap().remove(member);
        }
        verified.push(object["metadata"]["name"].as_str().unwrap().to_owned());
        assert_eq!(registration.steps, [Step::Create(object)], "{case}");
    }
    verified.sort();
    let want = [
        "set-revision-recorded-84cd7d6bfc",
        "set-revision-recorded-f9798c4d",
        "ss-inject-rev-recorded-custom-version-5556f66d88",
        "ss-inject-rev-recorded-custom-version-67d5b68b48",
        "ss-inject-v1alpha1-custom-version-58c4d66dfd",
        "ss-inject-v1alpha1-custom-version-8488c48579",
    ];
    assert_eq!(verified, want);
}

fn owned_revision(name: &str, set: &SidecarSet) -> Revision {
    let labels = json!({keys::SET_NAME: set.metadata.name});
    Revision::from_object(&json!({"metadata": {"name": name, "labels": labels}, "data": {}})).unwrap()
}

#[test]
fn histories_of_the_reference_need_nothing() {
    let objects = objects(&RECORDINGS);
    let sets = sets(&objects);
    assert_eq!(sets.len(), RECORDINGS.len());
    for (case, set) in sets {
        let recorded = objects.iter().filter(|(of, object)| *of == case && is_recording(object));
        let recorded: Vec<_> = recorded.map(|(_, object)| Arc::new(Revision::from_object(object).unwrap())).collect();
        assert_eq!(recorded.len(), 2, "{case}");
        let latest = set.status.as_ref().and_then(|status| status.latest_revision.clone()).unwrap();
        let want = Registration { latest, collision_count: 0, steps: Vec::new(), overflow: None };
        assert_eq!(register(&set, &recorded, &BTreeSet::new(), "kruise-system"), want, "{case}");
    }
}
