//! Native sidecars, which the reference cannot update in running pods.

use super::*;
use crate::sidecarset::{fixtures::compiled, keys::UPDATE_NATIVE};

/// A set with a native sidecar of this image, and leave to update it.
fn native(image: &str) -> Value {
    let sidecar = json!({"name": "proxy", "image": image, "restartPolicy": "Always"});
    let mut set = set("log", &json!({"containers": [{"name": "log", "image": "log:v1"}], "initContainers": [sidecar]}));
    set["metadata"]["annotations"] = json!({UPDATE_NATIVE: "true"});
    set
}

fn injected(name: &str) -> Fixture {
    pod(name).injected(&compiled(&native("proxy:v1")))
}

#[test]
fn a_native_sidecar_gets_its_new_image_in_the_running_pod() {
    let cluster = Cluster::of([native("proxy:v2")], [injected("web-1")]);
    let plan = cluster.plan("log");
    let [Task { action: Action::Patch(patch), .. }] = plan.each.as_slice() else { panic!("{plan:?}") };
    assert_eq!(patch.body["spec"], json!({"initContainers": [{"name": "proxy", "image": "proxy:v2"}]}));
}

#[test]
fn where_the_api_server_lets_none_be_changed_such_pods_are_left_and_it_is_said() {
    let cluster = Cluster::of([native("proxy:v2")], [injected("web-1")]);
    let circumstances = Circumstances { may_change_native: false, ..cluster.circumstances() };
    let plan = plan(&cluster.picture("log", cluster.pods.values()), &circumstances);
    assert!(plan.each.is_empty(), "{plan:?}");
    let condition = &plan.status.unwrap().body["status"]["conditions"][0];
    assert_eq!((condition["status"].as_str(), condition["reason"].as_str()), (Some("False"), Some("NativeSidecarsFixed")));
}

#[test]
fn a_pod_whose_native_sidecar_stays_the_same_is_updated_all_the_same() {
    let mut set = native("proxy:v1");
    set["spec"]["containers"][0]["image"] = "log:v2".into();
    let cluster = Cluster::of([set], [injected("web-1")]);
    let circumstances = Circumstances { may_change_native: false, ..cluster.circumstances() };
    let plan = plan(&cluster.picture("log", cluster.pods.values()), &circumstances);
    assert_eq!(plan.each.len(), 1);
}
