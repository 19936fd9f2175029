use serde_json::{json, value::to_raw_value};

use super::*;

fn stored(object: &Value) -> Stored {
    Stored::read(&to_raw_value(object).unwrap()).unwrap()
}

fn named(namespace: &str, name: &str) -> Stored {
    stored(&json!({"metadata": {"namespace": namespace, "name": name}}))
}

fn listing_of(counted: Counted) -> Listing {
    match counted.question {
        Question::HowMany(listing) => listing,
        other => panic!("{other:?}"),
    }
}

/// What each of these objects counts for.
fn counts(listing: &Listing, objects: &[Value]) -> Vec<u64> {
    objects.iter().map(|object| listing.count.of(object)).collect()
}

#[test]
fn a_namespace_is_asked_for_pods_that_have_not_ended_and_for_claims() {
    let [pods, claims]: [Listing; 2] = content(&named("", "shop")).into_iter().map(listing_of).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((pods.plural.as_str(), pods.namespace.as_str(), pods.count.is_of_content), ("pods", "shop", false));
    assert_eq!(pods.unlike, [("status.phase", "Succeeded"), ("status.phase", "Failed")]);
    let going = json!({"metadata": {"deletionTimestamp": "2026-12-01T12:00:00Z"}, "status": {"phase": "Bound"}});
    assert_eq!(counts(&pods, &[json!({}), going.clone(), json!({"metadata": {"deletionTimestamp": null}})]), [1, 0, 1]);
    assert_eq!((claims.plural.as_str(), claims.namespace.as_str(), claims.count.is_of_content), ("persistentvolumeclaims", "shop", true));
    let in_phase = |phase: &str| json!({"status": {"phase": phase}});
    assert_eq!(counts(&claims, &[in_phase("Bound"), in_phase("Pending"), in_phase("Lost"), json!({}), going]), [1, 0, 0, 0, 0]);
}

fn definition(versions: &Value, status: &Value) -> Stored {
    let spec = json!({"group": "example.com", "names": {"kind": "Fleet", "listKind": "Fleets", "plural": "fleets"}, "versions": versions});
    stored(&json!({"metadata": {"name": "fleets.example.com"}, "spec": spec, "status": status}))
}

fn version(name: &str, served: bool, storage: bool) -> Value {
    json!({"name": name, "served": served, "storage": storage})
}

#[test]
fn objects_are_listed_by_their_resource_in_a_version_that_is_served() {
    let of = |versions: Value| objects(&definition(&versions, &json!({}))).map(|counted| listing_of(counted.unwrap()).version);
    assert_eq!(of(json!([version("v1", true, false), version("v2", true, true)])).unwrap(), "v2");
    assert_eq!(of(json!([version("v1", false, false), version("v2", true, false), version("v3", false, true)])).unwrap(), "v2");
    assert!(of(json!([version("v1", false, true)])).is_err());
    let listing = listing_of(objects(&definition(&json!([version("v1", true, true)]), &json!({}))).unwrap().unwrap());
    assert_eq!((listing.kind.as_str(), listing.plural.as_str(), listing.namespace.as_str()), ("Fleet", "fleets", ""));
    assert!(!listing.count.is_of_content);
}

#[test]
fn a_definition_of_one_version_has_it_elsewhere() {
    let mut old = definition(&json!(null), &json!({}));
    old.object["spec"]["version"] = json!("v1beta1");
    assert_eq!(listing_of(objects(&old).unwrap().unwrap()).version, "v1beta1");
}

#[test]
fn a_definition_whose_names_were_not_accepted_defines_nothing() {
    let of = |status: &str| {
        let status = json!({"conditions": [{"type": "Established", "status": status}]});
        objects(&definition(&json!([version("v1", true, true)]), &status)).unwrap().is_some()
    };
    assert_eq!([of("True"), of("False"), of("Unknown")], [true, false, false]);
}

#[test]
fn endpoints_that_are_ready_count_and_those_that_do_not_say() {
    let counted = endpoints(&named("shop", "web"), vec!["web".to_owned()]);
    assert!(counted.remedy.contains("`kubectl get endpointslices -n shop -l kubernetes.io/service-name=web`"), "{}", counted.remedy);
    let listing = listing_of(counted);
    assert_eq!(
        (listing.plural.as_str(), listing.namespace.as_str(), listing.group.as_str()),
        ("endpointslices", "shop", "discovery.k8s.io")
    );
    assert_eq!(listing.labels.requirements()[0].to_string(), "kubernetes.io/service-name=web");
    let slice = json!({"endpoints": [{"conditions": {"ready": true}}, {"conditions": {"ready": false}}, {"conditions": {}}, {}]});
    assert_eq!(counts(&listing, &[slice, json!({"endpoints": null})]), [3, 0]);
}

#[test]
fn an_ingress_leads_to_services_by_paths_and_by_default_in_both_versions() {
    let path =
        |name: &str| json!({"http": {"paths": [{"backend": {"service": {"name": name}}}, {"backend": {"resource": {"name": "r"}}}]}});
    let new = json!({"spec": {"defaultBackend": {"service": {"name": "d"}}, "rules": [path("b"), path("a"), path("b"), {"host": "h"}]}});
    assert_eq!(backends(&new), ["a", "b", "d"]);
    let old = json!({"spec": {"backend": {"serviceName": "d"}, "rules": [{"http": {"paths": [{"backend": {"serviceName": "a"}}]}}]}});
    assert_eq!(backends(&old), ["a", "d"]);
    assert_eq!(backends(&json!({"spec": null})), [""; 0]);
    let counted = endpoints(&named("shop", "web"), vec!["a".to_owned(), "d".to_owned()]);
    assert!(counted.remedy.contains("-l 'kubernetes.io/service-name in (a,d)'`"), "{}", counted.remedy);
}

#[test]
fn a_claim_is_used_by_pods_that_mount_it_by_name_or_made_it() {
    let listing = listing_of(users(&named("shop", "db-data")));
    assert_eq!((listing.namespace.as_str(), listing.unlike.len(), listing.count.is_of_content), ("shop", 2, true));
    let pod = |volume: Value| json!({"metadata": {"name": "db"}, "spec": {"volumes": [{"name": "tmp", "emptyDir": {}}, volume]}});
    let mut going = pod(json!({"name": "d", "persistentVolumeClaim": {"claimName": "db-data"}}));
    going["metadata"]["deletionTimestamp"] = json!("2026-12-01T12:00:00Z");
    let objects = [
        pod(json!({"name": "d", "persistentVolumeClaim": {"claimName": "db-data"}})),
        pod(json!({"name": "d", "persistentVolumeClaim": {"claimName": "db-data-2"}})),
        pod(json!({"name": "data", "ephemeral": {}})),
        pod(json!({"name": "data", "emptyDir": {}})),
        going,
        json!({}),
    ];
    assert_eq!(counts(&listing, &objects), [1, 0, 1, 0, 1, 0]);
}
