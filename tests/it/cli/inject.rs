//! `outrigger inject`: what manifests look like after admission.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{MESH, REFUSES, WRONG};
use crate::world::binary::{Run, folder, outrigger, run};

fn cluster() -> TempDir {
    folder([("mesh.yaml", MESH), ("refuses.yaml", REFUSES)])
}

fn inject(arguments: &[&str], input: &str) -> Run {
    run(outrigger().args(["inject", "--from"]).arg(cluster().path()).args(arguments), input)
}

/// The documents that come out, as JSON.
fn injected(input: &str) -> Vec<Value> {
    let found = inject(&["-f", "-", "-o", "json"], input);
    assert!(found.ok, "{}", found.err);
    serde_json::Deserializer::from_str(&found.out).into_iter().map(Result::unwrap).collect()
}

fn template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}})
}

/// An object that holds a pod template where its kind has it.
fn workload(version: &str, kind: &str, template: &Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "shop", "labels": {"keep": "me"}}});
    match kind {
        "Pod" => {
            object["metadata"]["labels"] = template["metadata"]["labels"].clone();
            object["spec"] = template["spec"].clone();
        }
        "CronJob" => object["spec"] = json!({"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": template, "backoffLimit": 1}}}),
        _ => object["spec"] = json!({"template": template, "more": {"b": 1, "a": [null, 1.5]}}),
    }
    object
}

/// Where the pod of an object is.
fn pod(object: &Value) -> &Value {
    match object["kind"].as_str().unwrap() {
        "Pod" => object,
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &object["spec"]["template"],
    }
}

const WORKLOADS: [(&str, &str); 10] = [
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("apps.kruise.io/v1alpha1", "CloneSet"),
    ("apps.kruise.io/v1beta1", "StatefulSet"),
    ("apps.kruise.io/v1alpha1", "DaemonSet"),
];

#[test]
fn the_pods_of_every_kind_of_workload_get_their_sidecars() {
    for (version, kind) in WORKLOADS {
        let before = workload(version, kind, &template("web"));
        let after = injected(&before.to_string()).remove(0);
        let names: Vec<_> = pod(&after)["spec"]["containers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["proxy", "app"], "{kind}");
        assert_eq!(pod(&after)["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"], "mesh", "{kind}");
        // With the sidecar and what speaks of it taken out again, nothing else has changed.
        let mut rest = after.clone();
        let place = if kind == "Pod" {
            ""
        } else if kind == "CronJob" {
            "/spec/jobTemplate/spec/template"
        } else {
            "/spec/template"
        };
        let gone = rest.pointer_mut(place).unwrap();
        gone["metadata"].as_object_mut().unwrap().remove("annotations");
        gone["spec"]["containers"].as_array_mut().unwrap().remove(0);
        let gates = gone["spec"].as_object_mut().unwrap().remove("readinessGates");
        assert_eq!(gates.is_some(), version.starts_with("apps.kruise.io/"), "{kind}");
        assert_eq!(rest, before, "{kind}");
        assert_eq!(injected(&after.to_string()), [after], "a second time");
    }
}

#[test]
fn documents_that_hold_no_pod_or_are_not_selected_come_through_unchanged() {
    let texts = [
        "on",
        "yes",
        "0644",
        "1e3",
        "0x10",
        "1_000",
        "1:30",
        "~",
        "null",
        "true",
        "2026-01-01",
        ".5",
        "",
        " x ",
        "a: b",
        "# c",
        "- d",
        "=",
        "<<",
    ];
    let odd = "tab\there\nline\n\n  indented\u{1F6F6} \\ \" ' \u{85}\u{7f} end \n";
    let objects = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"texts": texts, "odd": odd, "on": "off", "1": "2"}}),
        json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {"template": 5, "n": [0, -1, 1.5, 1e300, 18_446_744_073_709_551_615_u64]}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": null}, "spec": {}, "status": []}),
        workload("apps/v1", "Deployment", &template("other")),
        workload("v1", "Pod", &template("other")),
        workload("batch/v1", "CronJob", &json!({"spec": {"containers": []}})),
    ];
    let input: String = objects.iter().map(|object| object.to_string() + "\n").collect();
    assert_eq!(injected(&input), objects);
    // By way of YAML, as a reader of YAML 1.1 sees it.
    let yaml = inject(&["-f", "-"], &input);
    assert!(yaml.ok, "{}", yaml.err);
    assert_eq!(injected(&yaml.out), objects, "{}", yaml.out);
    let difference = inject(&["-f", "-", "-o", "diff"], &input);
    assert_eq!((difference.ok, difference.out.as_str()), (true, ""));
}

#[test]
fn several_files_documents_and_lists_come_out_in_their_order() {
    let files = folder([
        (
            "one.yaml",
            "# nothing\n---\n---\napiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: B}\n- {apiVersion: v1, kind: C}\n",
        ),
        ("two.json", "{\"apiVersion\": \"v1\", \"kind\": \"D\"} {\"apiVersion\": \"v1\", \"kind\": \"E\"}"),
    ]);
    let path = |name: &str| files.path().join(name).display().to_string();
    let found = inject(&["-f", &path("one.yaml"), "-f", "-", "--filename", &path("two.json")], "apiVersion: v1\nkind: Z\n");
    assert!(found.ok, "{}", found.err);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&found.out).unwrap();
    assert_eq!(documents.iter().map(|document| document["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["A", "B", "C", "Z", "D", "E"]);
}

#[test]
fn the_difference_is_shown_as_a_diff() {
    let before = workload("v1", "Pod", &template("web"));
    let found = inject(&["-f", "-", "-o", "diff"], &before.to_string());
    assert!(found.ok, "{}", found.err);
    assert!(found.out.starts_with("--- before\n+++ after\n@@ "), "{}", found.out);
    let lines = |sign: char| found.out.lines().skip(2).filter(|line| line.starts_with(sign)).count();
    assert!(lines('+') > 4 && lines('-') == 0, "{}", found.out);
    assert!(
        found.out.contains("\n+") && found.out.contains("name: proxy") && found.out.contains("registry.example.com/proxy:1"),
        "{}",
        found.out
    );
}

#[test]
fn why_says_of_every_set_whether_it_applies() {
    let input = format!("{}\n{}", workload("v1", "Pod", &template("web")), workload("apps/v1", "Deployment", &template("other")));
    let found = inject(&["-f", "-", "--why", "-o", "json"], &input);
    assert!(found.ok, "{}", found.err);
    for (document, set) in [(1, "mesh"), (1, "lost"), (2, "mesh"), (2, "lost")] {
        let start = format!("- document {document}: set \"{set}\": ");
        assert!(found.err.lines().any(|line| line.starts_with(&start)), "{start}\n{}", found.err);
    }
    let of = |start: &str| found.err.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect::<Vec<_>>().join("\n");
    assert!(of("- document 2: set \"mesh\"").contains("app"), "{}", found.err);
    assert_ne!(of("- document 1: set \"mesh\"").replace("document 1", ""), of("- document 2: set \"mesh\"").replace("document 2", ""));
    assert_eq!(inject(&["-f", "-", "-o", "json"], &input).err, "");
}

#[test]
fn wrong_input_is_named_with_file_document_and_field() {
    let no_template = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}).to_string();
    let flat = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": "x"}}}});
    let with = |pointer: &str, value: Value| {
        let mut object = workload("apps/v1", "Deployment", &template("web"));
        *object.pointer_mut(pointer).unwrap() = value;
        object.to_string()
    };
    let good = "apiVersion: v1\nkind: A\n---\n";
    for (input, said) in [
        ("a: [".to_owned(), "-: "),
        ("{\"a\": ".to_owned(), "-: "),
        ("just words".to_owned(), "-: document 1: .: expected an object"),
        (format!("{good}apiVersion: v1\n"), "-: document 2: kind: missing"),
        (format!("{good}kind: Pod\nmetadata: {{name: p}}\n"), "-: document 2 (Pod p): apiVersion: missing"),
        (no_template, "-: document 1 (Deployment d): spec.template: expected a pod template"),
        (flat.to_string(), "-: document 1 (CronJob c): spec.jobTemplate.spec.template: expected a pod template"),
        (with("/spec/template/spec", json!("x")), "-: document 1 (Deployment w): spec.template: "),
        (with("/spec/template/spec/containers", json!({"name": "app"})), "containers"),
        (with("/spec/template/spec/containers/0/name", json!(5)), "containers"),
        (with("/spec/template/metadata/labels/app", json!(5)), "metadata.labels"),
        (with("/spec/template/metadata", json!("x")), "-: document 1 (Deployment w): spec.template: refused: "),
        (workload("v1", "Pod", &template("refused")).to_string(), "-: document 1 (Pod w): .: refused: "),
        (workload("apps/v1", "Deployment", &template("refused")).to_string(), "lost-0"),
    ] {
        let found = inject(&["-f", "-"], &input);
        assert!(!found.ok && found.err.contains(said), "{input}\nexpected {said}\nfound {}", found.err);
        let last = found.err.trim_end().lines().filter(|line| line.starts_with("outrigger: -: ")).count();
        assert_eq!(last, 1, "{}", found.err);
    }
}

#[test]
fn files_and_folders_that_are_not_there_are_named() {
    let found = inject(&["-f", "no-such.yaml"], "");
    assert!(!found.ok && found.err.contains("no-such.yaml: "), "{}", found.err);
    let wrong = folder([("wrong.yaml", WRONG)]);
    let found = run(outrigger().args(["inject", "-f", "-", "--from"]).arg(wrong.path()), "");
    assert!(!found.ok && found.err.contains("wrong.yaml: document 2 (SidecarSet wrong): spec.selector.matchLabels.app: "), "{}", found.err);
    let found = run(outrigger().args(["inject", "-f", "-"]), "");
    assert!(!found.ok && found.err.contains("--from"), "{}", found.err);
}
