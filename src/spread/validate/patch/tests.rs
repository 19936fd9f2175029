use super::*;
use crate::spread::validate::read;

fn subsets(patches: &[Value]) -> Vec<Subset> {
    let subset = |(index, patch): (usize, &Value)| {
        let mut subset = json!({"name": format!("s{index}")});
        if !patch.is_null() {
            subset["patch"] = patch.clone();
        }
        serde_json::from_value(subset).unwrap()
    };
    patches.iter().enumerate().map(subset).collect()
}

fn workload() -> Value {
    let container = json!({"name": "web", "image": "example/web:1", "env": [{"name": "MODE", "value": "plain"}]});
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container], "serviceAccountName": "web", "priority": 7}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": template}})
}

fn one(patch: Value) -> Result<StandIn, Vec<String>> {
    let made = stand_ins(&subsets(&[patch]), &workload());
    made.map(|mut made| made.remove(0)).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn spec_of(patch: Value) -> Value {
    one(patch).unwrap().pod["spec"].clone()
}

#[test]
fn a_workload_is_asked_for_if_a_patch_has_to_be_judged_by_its_template() {
    let needed = |api_version: &str, kind: &str, subset: Value| {
        let object = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "WorkloadSpread", "metadata": {"name": "a"},
            "spec": {"targetRef": {"apiVersion": api_version, "kind": kind, "name": "web"}, "subsets": [{"name": "b"}, subset]}});
        needed(&read(&object, false).unwrap().spec)
    };
    let patched = json!({"name": "a", "patch": {}});
    assert_eq!(needed("apps/v1", "Deployment", json!({"name": "a"})), None);
    assert_eq!(needed("apps/v9", "Deployment", patched.clone()).unwrap(), ["apps", "Deployment", "web"]);
    assert_eq!(needed("apps.kruise.io/v1beta1", "StatefulSet", patched.clone()).unwrap(), ["apps.kruise.io", "StatefulSet", "web"]);
    assert_eq!(needed("example.com/v1", "Arena", patched.clone()), None);
    assert_eq!(needed("a/b/c", "Deployment", patched), None);
}

#[test]
fn each_patch_makes_a_pod_of_the_template() {
    let patch = json!({"metadata": {"labels": {"tier": "spot"}}, "spec": {"containers": [{"name": "web", "env": [{"name": "ZONE", "value": "a"}]}], "nodeSelector": {"disk": "ssd"}}});
    let made = stand_ins(&subsets(&[json!(null), patch, json!({})]), &workload()).unwrap();
    let paths: Vec<_> = made.iter().map(|made| made.path.to_string()).collect();
    assert_eq!(paths, ["spec.subsets[1].patch", "spec.subsets[2].patch"]);
    let pod = &made[0].pod;
    assert_eq!((&pod["kind"], &pod["metadata"]), (&json!("Pod"), &json!({"generateName": "workloadspread-stand-in-"})));
    let container = &pod["spec"]["containers"][0];
    let env: Vec<_> = container["env"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!((container["image"].as_str(), env), (Some("example/web:1"), vec!["ZONE", "MODE"]));
    assert_eq!(pod["spec"]["nodeSelector"], json!({"disk": "ssd"}));
    assert_eq!(made[1].pod["spec"]["containers"], workload()["spec"]["template"]["spec"]["containers"]);
}

#[test]
fn the_pod_lacks_what_only_its_namespace_has() {
    let spec = spec_of(json!({"spec": {"priorityClassName": "low"}}));
    assert_eq!((spec.get("serviceAccountName"), &spec["automountServiceAccountToken"]), (None, &json!(false)));
    assert_eq!((spec.get("priority"), &spec["priorityClassName"]), (None, &json!("low")));
    assert_eq!(spec_of(json!({}))["priority"], 7);
}

#[test]
fn claims_of_the_workload_are_volumes_of_its_pods() {
    let mut workload = workload();
    workload["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}}, {"metadata": {"name": "logs"}}]);
    let made = stand_ins(
        &subsets(&[json!({"spec": {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "own", "emptyDir": {}}]}})]),
        &workload,
    )
    .unwrap();
    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    assert_eq!(made[0].pod["spec"]["volumes"], json!([{"name": "own", "emptyDir": {}}, claim("data"), claim("logs")]));
}

#[test]
fn a_patch_that_makes_no_pod_is_refused_and_shown() {
    for (patch, said) in [
        (json!({"spec": {"containers": [{"image": "example/web:2"}]}}), "failed to merge patch: "),
        (json!({"spec": {"containers": {"name": "web"}}}), "failed to "),
        (json!({"spec": {"terminationGracePeriodSeconds": "long"}}), "failed to unmarshal: spec.terminationGracePeriodSeconds: "),
        (json!("text"), "failed to merge patch: must be an object"),
    ] {
        let said_of_it = one(patch.clone()).unwrap_err();
        let begins = format!("spec.subsets[0].patch: Invalid value: {}: {said}", crate::base::go_text::quoted(&patch.to_string()));
        assert!(said_of_it.len() == 1 && said_of_it[0].starts_with(&begins), "{said_of_it:?}");
    }
    let errors = stand_ins(&subsets(&[json!(1), json!({}), json!(2)]), &workload()).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.path.to_string()).collect::<Vec<_>>(), ["spec.subsets[0].patch", "spec.subsets[2].patch"]);
}

#[test]
fn quantities_may_be_numbers_and_unknown_members_may_be_anything() {
    let resources = json!({"limits": {"cpu": 2}, "requests": {"cpu": 0.5, "memory": "1Gi"}, "limit": {"cpu": 1}});
    let patch = json!({"spec": {"speed": 1, "containers": [{"name": "web", "resources": resources}], "overhead": {"cpu": 1},
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1000}}]}});
    let spec = spec_of(patch);
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({"limits": {"cpu": "2"}, "requests": {"cpu": "0.5", "memory": "1Gi"}, "limit": {"cpu": 1}})
    );
    assert_eq!((&spec["overhead"]["cpu"], &spec["volumes"][0]["emptyDir"]["sizeLimit"]), (&json!("1"), &json!("1000")));
}

#[test]
fn what_the_api_server_says_of_the_pod_is_said_of_the_patch() {
    let path = Path::new("spec").child("subsets").index(1).child("patch");
    let causes = [
        ("spec.containers[0].image", "Required value"),
        ("spec.volumes[0].name", "Invalid value: \"A\": bad"),
        ("metadata.name", "Required value"),
        ("specs.x", "Required value"),
        ("", "Forbidden: no such pod"),
    ]
    .map(|(field, message)| (field.to_owned(), message.to_owned()));
    let said: Vec<_> = from_stand_in(&path, &causes).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "spec.subsets[1].patch.containers[0].image: Required value",
            "spec.subsets[1].patch.volumes[0].name: Invalid value: \"A\": bad",
            "spec.subsets[1].patch: Forbidden: no such pod",
        ]
    );
}
