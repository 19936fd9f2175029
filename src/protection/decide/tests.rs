use serde_json::{json, value::to_raw_value};

use super::*;
use crate::protection::kind;

const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

fn now() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn object(label: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({"metadata": {"name": "web", "namespace": "shop", "labels": {LABEL: label}}, "spec": {}});
    change(&mut object);
    object
}

fn stored(object: &Value) -> Stored {
    Stored::read(&to_raw_value(object).unwrap()).unwrap()
}

fn rule_for(user: &str, group: &str, plural: &str, object: &Value) -> Ruling {
    decide(kind::find(group, plural).unwrap(), &stored(object), user, now())
}

fn rule(group: &str, plural: &str, object: &Value) -> Ruling {
    rule_for("ann", group, plural, object)
}

fn kept(ruling: Ruling) -> String {
    match ruling {
        Ruling::Kept(message) | Ruling::Unknown(message) => message,
        other => panic!("{other:?}"),
    }
}

fn open(ruling: Ruling) -> Inquiry {
    match ruling {
        Ruling::Open(inquiry) => inquiry,
        other => panic!("{other:?}"),
    }
}

fn is_free(ruling: &Ruling) -> bool {
    matches!(ruling, Ruling::Free)
}

fn counted(count: u64) -> Answer {
    Answer::Counted { count, is_all: true }
}

fn unknown() -> Answer {
    Answer::Unknown("nobody home".to_owned())
}

#[test]
fn every_kind_that_is_labelled_always_stays_and_the_text_says_how_it_may_go() {
    for protectable in &kind::ALL {
        let message = kept(rule(protectable.kind.group, protectable.kind.plural, &object("Always", |_| ())));
        assert_eq!(
            message,
            format!(
                "forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection=Always; {} shop/web is protected: \
                 lift the protection: `kubectl label -n shop {} web policy.kruise.io/delete-protection-`",
                protectable.kind.kind, protectable.word
            )
        );
    }
}

#[test]
fn no_label_another_value_and_a_deletion_that_has_begun_hold_up_nothing() {
    for protectable in &kind::ALL {
        let of = |object: &Value| rule(protectable.kind.group, protectable.kind.plural, object);
        assert!(is_free(&of(&object("", |object| object["metadata"]["labels"] = json!(null)))));
        for value in ["", "always", "ALWAYS", "Always ", "cascading", "Cascade", "true"] {
            assert!(is_free(&of(&object(value, |_| ()))), "{value}");
        }
        for value in ["Always", "Cascading"] {
            let going = object(value, |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-12-01T11:00:00Z");
                object["spec"]["replicas"] = json!(3);
            });
            assert!(is_free(&of(&going)), "{value}");
        }
    }
}

#[test]
fn a_workload_stays_while_it_wants_replicas() {
    for protectable in kind::ALL.iter().filter(|protectable| protectable.cascade == Cascade::Replicas) {
        let of = |replicas: Value| {
            let object = object("Cascading", |object| {
                object["spec"]["replicas"] = replicas;
                object["status"] = json!({"replicas": 3});
            });
            rule(protectable.kind.group, protectable.kind.plural, &object)
        };
        for none in [json!(0), json!(null), json!(-1)] {
            assert!(is_free(&of(none.clone())), "{none}");
        }
        let message = kept(of(json!(2)));
        let word = protectable.word;
        let beginning = "forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection=Cascading and replicas 2>0; ";
        assert!(message.starts_with(beginning), "{message}");
        assert!(message.contains(&format!("(`kubectl scale -n shop {word} web --replicas=0`), or lift the protection: ")), "{message}");
        let Ruling::Unreadable(problem) = of(json!("two")) else { panic!("a text is no number") };
        assert_eq!(problem, "spec.replicas: expected an integer, found \"two\"");
    }
}

fn namespace(label: &str) -> Value {
    json!({"metadata": {"name": "shop", "labels": {LABEL: label}}})
}

#[test]
fn a_namespace_stays_for_its_pods_and_if_there_are_none_for_its_claims() {
    let settle = |answers: Vec<Answer>| open(rule("", "namespaces", &namespace("Cascading"))).settle(answers);
    assert!(is_free(&settle(vec![counted(0), counted(0)])));
    let pods = kept(settle(vec![counted(2), counted(1)]));
    assert_eq!(
        pods,
        "forbidden by ResourcesProtectionDeletion for policy.kruise.io/delete-protection=Cascading and active pods 2>0; Namespace shop \
         is protected: delete what runs in it first (`kubectl get pods -n shop`), or lift the protection: \
         `kubectl label namespace shop policy.kruise.io/delete-protection-`"
    );
    let claims = kept(settle(vec![counted(0), counted(1)]));
    assert!(claims.contains("=Cascading and \"Bound\" status pvc 1>0; "), "{claims}");
    assert!(claims.contains("(`kubectl get pvc -n shop`)"), "{claims}");
}

#[test]
fn what_nobody_answers_keeps_the_object_and_says_which_question_it_was() {
    let settle = |answers: Vec<Answer>| kept(open(rule("", "namespaces", &namespace("Cascading"))).settle(answers));
    let beginning = "forbidden by ResourcesProtectionDeletion for ";
    for (answers, said) in [
        (vec![unknown(), counted(0)], "list pods error: nobody home; Namespace shop is protected: lift the protection: "),
        (vec![counted(0), unknown()], "list pvc error: nobody home; "),
        (vec![counted(0)], "list pvc error: there is no API server to ask; "),
        (vec![], "list pods error: there is no API server to ask; "),
        (vec![Answer::Good, counted(0)], "list pods error: the answer is no number; "),
        (vec![Answer::Counted { count: 0, is_all: false }], "list pods error: not everything could be looked at in time; "),
    ] {
        let message = settle(answers);
        assert!(message.starts_with(&format!("{beginning}{said}")), "{message}");
    }
    // What is known to be there is enough.
    assert!(settle(vec![counted(1), unknown()]).contains("active pods 1>0"));
}

#[test]
fn a_number_that_is_a_lower_bound_says_so() {
    let answer = Answer::Counted { count: 500, is_all: false };
    let message = kept(open(rule("", "namespaces", &namespace("Cascading"))).settle(vec![answer]));
    assert!(message.contains("=Cascading and active pods 500>0 (at least); "), "{message}");
}

#[test]
fn a_definition_that_cannot_be_listed_in_any_version_stays() {
    let versions = json!([{"name": "v1", "served": false, "storage": true}]);
    let spec = json!({"group": "example.com", "names": {"kind": "Thing", "plural": "things"}, "versions": versions});
    let definition = json!({"metadata": {"name": "things.example.com", "labels": {LABEL: "Cascading"}}, "spec": spec});
    let message = kept(rule("apiextensions.k8s.io", "customresourcedefinitions", &definition));
    assert!(message.starts_with("failed to list CRs of example.com, Kind=Thing: no version of it is served; "), "{message}");
    assert!(message.contains("`kubectl label crd things.example.com policy.kruise.io/delete-protection-`"), "{message}");
}

#[test]
fn a_definition_stays_for_its_objects_and_one_that_defines_nothing_goes() {
    let of = |established: &str| {
        let versions = json!([{"name": "v1", "served": true, "storage": true}]);
        let spec = json!({"group": "example.com", "names": {"kind": "Thing", "plural": "things"}, "versions": versions});
        let status = json!({"conditions": [{"type": "Established", "status": established}]});
        let definition =
            json!({"metadata": {"name": "things.example.com", "labels": {LABEL: "Cascading"}}, "spec": spec, "status": status});
        rule("apiextensions.k8s.io", "customresourcedefinitions", &definition)
    };
    assert!(is_free(&of("False")));
    assert!(is_free(&open(of("True")).settle(vec![counted(0)])));
    let message = kept(open(of("True")).settle(vec![counted(3)]));
    assert!(message.contains("=Cascading and active CRs 3>0; "), "{message}");
    let message = kept(open(of("True")).settle(vec![unknown()]));
    assert!(message.starts_with("failed to list CRs of example.com/v1, Kind=Thing: nobody home; "), "{message}");
}

#[test]
fn services_ingresses_and_claims_stay_while_they_are_used() {
    let ingress = object("Cascading", |object| object["spec"]["defaultBackend"] = json!({"service": {"name": "front"}}));
    for (group, plural, object, said) in [
        ("", "services", object("Cascading", |_| ()), "ready endpoints 2>0; "),
        ("networking.k8s.io", "ingresses", ingress, "ready endpoints 2>0; "),
        ("", "persistentvolumeclaims", object("Cascading", |_| ()), "pods that use it 2>0; "),
    ] {
        assert!(is_free(&open(rule(group, plural, &object)).settle(vec![counted(0)])), "{plural}");
        let message = kept(open(rule(group, plural, &object)).settle(vec![counted(2)]));
        assert!(message.contains(&format!("=Cascading and {said}")), "{message}");
    }
}

#[test]
fn an_ingress_that_leads_nowhere_goes() {
    assert!(is_free(&rule("networking.k8s.io", "ingresses", &object("Cascading", |_| ()))));
}

fn annotated(annotations: Value) -> Value {
    object("Always", |object| object["metadata"]["annotations"] = annotations)
}

#[test]
fn reason_owner_and_end_are_told() {
    let annotations = json!({
        "outrigger.dev/protection-reason": "holds\n  orders", "outrigger.dev/protection-owner": "team-shop",
        "outrigger.dev/protection-until": "2026-12-24T00:00:00+01:00"});
    let message = kept(rule("apps", "deployments", &annotated(annotations)));
    let told =
        "Deployment shop/web is protected (reason: holds orders; owner: team-shop; until: 2026-12-23T23:00:00Z): lift the protection: ";
    assert!(message.contains(told), "{message}");
}

#[test]
fn a_long_reason_is_cut() {
    let message = kept(rule("apps", "deployments", &annotated(json!({"outrigger.dev/protection-reason": "ä".repeat(2000)}))));
    assert!(message.contains(&format!("(reason: {}…)", "ä".repeat(256))), "{message}");
}

#[test]
fn an_object_whose_time_has_come_stays_until_its_label_is_off() {
    let message = kept(rule("apps", "deployments", &annotated(json!({"outrigger.dev/protection-until": "2026-12-01T12:00:00Z"}))));
    assert!(message.contains("(until: 2026-12-01T12:00:00Z, which has passed, so that its label is lifted within a minute)"), "{message}");
}

#[test]
fn who_is_held_up_by_it_is_told() {
    let of = |user: &str| kept(rule_for(user, "apps", "deployments", &object("Always", |_| ())));
    assert!(of(NAMESPACE_CONTROLLER).ends_with("-`; namespace shop is being deleted and stays Terminating until then"));
    assert!(of(GARBAGE_COLLECTOR).ends_with("-`; its owner is gone or going; it is tried again until then"));
    // A namespace is in none.
    let message = kept(rule_for(NAMESPACE_CONTROLLER, "", "namespaces", &namespace("Always")));
    assert!(message.ends_with("-`"), "{message}");
}

#[test]
fn a_value_that_protects_nothing_and_an_end_that_is_no_time_are_warned_of() {
    let of = |object: &Value| warnings(&stored(object));
    assert_eq!(of(&object("Always", |_| ())), [""; 0]);
    assert_eq!(
        of(&object("always", |_| ())),
        [r#"metadata.labels[policy.kruise.io/delete-protection]: expected Always or Cascading, found "always": it protects nothing"#]
    );
    let found = of(&annotated(json!({"outrigger.dev/protection-until": "soon"})));
    assert!(found.len() == 1 && found[0].contains("found \"soon\""), "{found:?}");
    let free = object("", |object| {
        object["metadata"]["labels"] = json!({});
        object["metadata"]["annotations"] = json!({"outrigger.dev/protection-until": "soon"});
    });
    assert_eq!(of(&free), [""; 0]);
}
