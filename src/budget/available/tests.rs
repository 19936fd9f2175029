use serde_json::{Value, json};

use super::*;

const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn is(change: impl FnOnce(&mut Value)) -> bool {
    let mut object = json!({"metadata": {"name": "a", "annotations": {}, "labels": {}},
        "spec": {"containers": [{"name": "main", "image": "web:2"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "image": "web:1", "imageID": "sha256:aaaa"}]}});
    change(&mut object);
    is_available(&serde_json::from_str(&object.to_string()).unwrap())
}

fn annotated(key: &str, value: &Value) -> bool {
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    is(|pod| pod["metadata"]["annotations"][key] = json!(value))
}

#[test]
fn a_pod_is_available_while_it_runs_ready_and_in_service() {
    assert!(is(|_| ()));
    assert!(!is(|pod| pod["status"]["phase"] = json!("Pending")));
    assert!(!is(|pod| pod["status"]["conditions"][0]["status"] = json!("Unknown")));
    assert!(!is(|pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z")));
    assert!(!is(|pod| pod["metadata"]["labels"]["unavailable-pod.kruise.io/x"] = json!("")));
    assert!(is(|pod| pod["metadata"]["labels"]["unavailable-pod.kruise.io"] = json!("")));
}

/// Image of the spec and what the runtime reports.
fn pinned(image: &str, id: &str) -> bool {
    is(|pod| {
        pod["spec"]["containers"][0]["image"] = json!(image);
        pod["status"]["containerStatuses"][0]["imageID"] = json!(id);
    })
}

#[test]
fn a_pinned_image_makes_a_ready_pod_unavailable_only_where_another_digest_of_it_runs() {
    let full = format!("registry.example/web@{ONE}");
    assert!(pinned(&full, &format!("docker-pullable://registry.example/web@{ONE}")));
    assert!(pinned(&format!("web@{ONE}"), &format!("docker.io/library/web@{ONE}")), "written without its registry");
    assert!(pinned(&format!("registry.example/web:1.2@{ONE}"), &full), "with a tag");
    assert!(pinned(&full, &format!("mirror.example/web@{TWO}")), "of another repository: nobody can tell");
    assert!(pinned(&full, "sha256:aaaa"), "an image of no repository: nobody can tell");
    assert!(!pinned(&full, &format!("registry.example/web@{TWO}")));
    assert!(!is(|pod| {
        pod["spec"]["containers"][0]["image"] = json!(full);
        pod["status"]["containerStatuses"] = json!([]);
    }));
}

#[test]
fn a_pod_is_not_available_in_the_middle_of_an_update_in_place() {
    let key = "apps.kruise.io/inplace-update-state";
    let last = |id: &str| json!({"lastContainerStatuses": {"main": {"imageID": id}}});
    assert!(!annotated(key, &last("sha256:aaaa")), "the old image runs still");
    assert!(!annotated("inplace-update-state", &last("sha256:aaaa")));
    assert!(annotated(key, &last("sha256:bbbb")));
    assert!(!annotated(key, &json!({"lastContainerStatuses": {"gone": {"imageID": "x"}}})), "nothing is reported of it");
    assert!(!annotated(key, &json!({"nextContainerImages": {"main": "web:3"}})));
    assert!(!annotated(key, &json!({"updateEnvFromMetadata": true})));
    assert!(!annotated(key, &json!("not JSON")));
    assert!(!annotated("apps.kruise.io/inplace-update-grace", &json!({})));
    assert!(
        is(|pod| {
            pod["metadata"]["annotations"][key] = json!(last("sha256:aaaa").to_string());
            pod["status"]["containerStatuses"][0]["image"] = json!("web:2");
        }),
        "the same image under its new name"
    );
}

#[test]
fn sidecars_that_wait_for_their_image_make_a_pod_unavailable_if_a_set_put_them_there() {
    let waiting = |change: fn(&mut Value)| {
        is(|pod| {
            let state = json!({"log": {"lastContainerStatuses": {"main": {"imageID": "sha256:aaaa"}}}});
            pod["metadata"]["annotations"] =
                json!({"kruise.io/sidecarset-injected-list": "log", "kruise.io/sidecarset-inplace-update-state": state.to_string()});
            pod["spec"]["containers"][0]["env"] = json!([{"name": "IS_INJECTED", "value": "true"}]);
            change(pod);
        })
    };
    assert!(!waiting(|_| ()));
    assert!(waiting(|pod| pod["status"]["containerStatuses"][0]["imageID"] = json!("sha256:bbbb")));
    assert!(waiting(|pod| pod["spec"]["containers"][0]["env"] = json!([])));
    assert!(waiting(|pod| pod["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"] = json!("mesh")));
    assert!(!waiting(|pod| pod["metadata"]["annotations"]["kruise.io/sidecarset-inplace-update-state"] = json!("{")));
}
