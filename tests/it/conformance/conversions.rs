//! Recorded conversions, through the offline door and over HTTPS. Of an object, what conversion is about is compared: the rest
//! shows how Go writes one (empty members, quantities in its own form).

use jiff::Timestamp;
use outrigger::{
    offline::{documents::Document, reviews},
    state::State,
};
use serde_json::{Map, Value, json};

use super::compare::{case, plain, recorded};
use crate::support::HttpsServer;

const ALPHA: &str = "apps.kruise.io/v1alpha1";
const VERSION_LABEL: &str = "apps.kruise.io/sidecarset-custom-version";
const BETA: &str = "apps.kruise.io/v1beta1";

fn review(desired: &Value, objects: &Value) -> Value {
    let request = json!({"uid": "u-1", "desiredAPIVersion": desired, "objects": objects});
    json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "request": request})
}

fn offline(review: &Value) -> Value {
    let document = Document { file: "case".to_owned(), number: 1, value: review.clone() };
    reviews::answer(&document, &mut State::default(), &[], Timestamp::constant(0, 0)).unwrap()
}

/// The answers of both doors, which must be one.
fn asked(server: &HttpsServer, desired: &Value, objects: &Value) -> Value {
    let review = review(desired, objects);
    let (status, over_https) = server.post("/convert", review.to_string().into_bytes());
    assert_eq!((status, &over_https), (200, &offline(&review)));
    assert_eq!((&over_https["kind"], &over_https["response"]["uid"]), (&json!("ConversionReview"), &json!("u-1")));
    over_https["response"].clone()
}

fn cases() -> Vec<(String, Value)> {
    ["set-convert-custom-version", "set-convert-direct", "set-convert-every-field", "set-convert-namespace"]
        .map(|name| case(&recorded("sidecarset").join(format!("{name}.yaml"))))
        .into()
}

/// What the reference writes and an object need not have, and what it drops and an object may keep.
fn interesting(object: &Value) -> Value {
    let mut object = plain(object);
    let zero = json!(0);
    for (pointer, member, artefact) in [
        ("/status", "matchedPods", Some(&zero)),
        ("/status", "readyPods", Some(&zero)),
        ("/status", "updatedPods", Some(&zero)),
        ("/spec", "containers", Some(&json!([]))),
        ("/spec", "volumes", Some(&json!([]))),
        ("/spec", "extra", None),
        ("", "extra", None),
        ("", "spec", Some(&json!({}))),
        ("/spec/containers/0", "stopSignal", None),
        ("/spec/containers/0", "resources", None),
        ("/spec/containers/0", "shareVolumePolicy", Some(&json!({}))),
    ] {
        let members = object.pointer_mut(pointer).and_then(Value::as_object_mut);
        let is_artefact = |members: &Map<String, Value>| artefact.is_none_or(|artefact| members.get(member) == Some(artefact));
        if let Some(members) = members.filter(|members| is_artefact(members)) {
            members.shift_remove(member);
        }
    }
    plain(&object)
}

#[test]
fn recorded_conversion_reviews_are_answered_as_recorded() {
    let server = HttpsServer::start();
    let mut compared = 0;
    for (name, case) in cases() {
        for review in case["convert"].as_array().into_iter().flatten() {
            let what = format!("{name}: {}", review["note"]);
            let answer = asked(&server, &review["to"], &review["objects"]);
            assert_eq!(answer["result"]["status"], review["result"]["status"], "{what}: {answer}");
            let converted = answer["convertedObjects"].as_array().unwrap();
            let wanted = review["converted"].as_array().cloned().unwrap_or_default();
            assert_eq!(converted.len(), wanted.len(), "{what}");
            for (got, want) in converted.iter().zip(&wanted) {
                assert_eq!(interesting(got), interesting(want), "{what}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 7, "only {compared} were compared");
}

#[test]
fn what_is_stored_reads_in_both_versions_as_recorded_and_can_be_written_back() {
    let server = HttpsServer::start();
    let (mut compared, mut written_back) = (0, 0);
    for (name, case) in cases() {
        for step in case["steps"].as_array().into_iter().flatten() {
            let read = step["read"].as_array().unwrap();
            let of = |version: &str| read.iter().find(|object| object["apiVersion"] == version).unwrap();
            let older = asked(&server, &json!(ALPHA), &json!([of(BETA)]));
            assert_eq!(older["convertedObjects"], json!([of(ALPHA)]), "{name}");
            compared += 1;
            // A label that somebody put there by hand becomes the field with the first write of the older version.
            if of(BETA).pointer("/metadata/labels").is_none_or(|labels| labels.get(VERSION_LABEL).is_none()) {
                let back = asked(&server, &json!(BETA), &older["convertedObjects"]);
                assert_eq!(back["convertedObjects"], json!([of(BETA)]), "{name}");
                written_back += 1;
            }
        }
    }
    assert!(compared >= 10 && written_back >= 8, "only {compared} were compared, {written_back} written back");
}
