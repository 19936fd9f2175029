//! The replicas: what each knows of itself, when it is taken for ready or for dead, and how long it may take to end.

use outrigger::server::Limits;
use serde_json::{Value, json};

use super::rendered_one;

fn pod() -> Value {
    rendered_one("deployment.yaml", "Deployment")["spec"]["template"]["spec"].clone()
}

#[test]
fn the_server_knows_the_name_of_its_pod() {
    let of_the_pod = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    assert_eq!(
        pod()["containers"][0]["env"],
        json!([of_the_pod("POD_NAME", "metadata.name"), of_the_pod("POD_NAMESPACE", "metadata.namespace")])
    );
}

#[test]
fn a_replica_may_take_longer_to_end_than_it_does() {
    let linger = 5;
    let grace = pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace >= linger + Limits::default().drain.as_secs() + 5, "{grace}");
    assert_eq!(pod()["containers"][0].get("lifecycle"), None);
}

#[test]
fn a_replica_is_dead_only_when_it_says_nothing_and_ready_only_when_it_says_so() {
    let container = &pod()["containers"][0];
    let asked = |probe: &str| container[probe]["httpGet"].clone();
    assert_eq!(asked("startupProbe"), json!({"path": "/livez", "port": "admin"}));
    assert_eq!(asked("livenessProbe"), json!({"path": "/livez", "port": "admin"}));
    assert_eq!(asked("readinessProbe"), json!({"path": "/readyz", "port": "admin"}));
    // Taken out of service within 6 s, restarted after 30 s.
    assert_eq!(container["readinessProbe"]["periodSeconds"], 2);
    assert_eq!(container["livenessProbe"]["periodSeconds"], 10);
}

#[test]
fn a_rolling_update_never_has_fewer_replicas_and_a_drain_leaves_one() {
    let deployment = rendered_one("deployment.yaml", "Deployment");
    assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}));
    assert_eq!(deployment["spec"]["replicas"], 2);
    let budget = rendered_one("deployment.yaml", "PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"]);
}

#[test]
fn replicas_are_ranked_above_everything_but_the_cluster_itself() {
    let class = rendered_one("deployment.yaml", "PriorityClass");
    assert_eq!((&class["value"], &class["globalDefault"]), (&json!(1_000_000_000), &json!(false)));
    assert_eq!(pod()["priorityClassName"], class["metadata"]["name"]);
}

#[test]
fn only_the_replicas_get_the_token_of_their_account() {
    assert_eq!(pod()["automountServiceAccountToken"], true);
    assert_eq!(rendered_one("rbac.yaml", "ServiceAccount")["automountServiceAccountToken"], false);
}
