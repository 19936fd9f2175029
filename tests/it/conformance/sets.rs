//! The recorded judgements of sets, through the pure function. Defaults, hashes and conversions are judged beside their code.

use std::sync::LazyLock;

use outrigger::{
    base::field,
    sidecarset::{
        default::Unreadable,
        validate::{Findings, validate},
    },
    state::State,
};
use regex::Regex;
use serde_json::{Value, json};

use super::{
    all,
    compare::{Differences, case, recorded},
    state,
};

const PATH: &str = "/validate-apps-kruise-io-sidecarset";

/// Texts of Go's decoders, which need not be copied.
static DECODER: LazyLock<Regex> = LazyLock::new(|| Regex::new("no content to decode|cannot unmarshal|invalid character|json: ").unwrap());
/// Where a value is shown in Go's notation: path, kind and detail are compared, the value is not.
static DUMP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"map\[string\]string\{[^}]*\}|\[\]string\(nil\)|"?&\{.*?\]\}"?|(\[\])?v1(beta1)?\.\w+\{|intstr\.\w+\{"#).unwrap()
});

fn one(name: &str) -> (Value, State) {
    let (_, case) = case(&recorded(&format!("sidecarset/{name}.yaml")));
    let state = state(&case);
    (case, state)
}

fn judged(request: &Value, state: &State) -> Result<Findings, Unreadable> {
    let is_update = request["operation"] == "UPDATE";
    if is_update && request["oldObject"].is_null() {
        return Err(Unreadable { path: "oldObject".to_owned(), problem: "missing".to_owned() });
    }
    let old = Some(&request["oldObject"]).filter(|_| is_update);
    validate(&request["object"], old, &state.snapshot())
}

/// A recorded message as a pattern in which Go's dumps match anything.
fn pattern(message: &str) -> Regex {
    let mut pattern = String::from("(?s)^");
    let mut rest = message;
    while let Some(found) = DUMP.find(rest) {
        pattern.push_str(&regex::escape(&rest[..found.start()]));
        pattern.push_str(".*?");
        let is_open = found.as_str().ends_with('{');
        rest = &rest[found.end()..];
        if is_open {
            rest = &rest[closing(rest)..];
        }
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    Regex::new(&pattern).unwrap()
}

/// Behind the brace that closes what is open at the start.
fn closing(text: &str) -> usize {
    let (mut depth, mut in_text) = (1, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => in_text = !in_text,
            '{' if !in_text => depth += 1,
            '}' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// What is wrong with a judgement.
fn difference(got: &Result<Findings, Unreadable>, recorded: &Value, want: &Value) -> Option<String> {
    let (allowed, code, said) = match got {
        Ok(findings) if findings.errors.is_empty() => (true, 200, String::new()),
        Ok(findings) => (false, 500, field::sentence(&findings.errors)),
        Err(error) => (false, 400, error.to_string()),
    };
    if want["allowed"] != allowed {
        return Some(format!("want {want}, got {said:?}"));
    }
    if allowed {
        return None;
    }
    let recorded_text = recorded["message"].as_str().unwrap();
    let other = want["message"].as_str().filter(|wanted| *wanted != recorded_text);
    // What may be said in other words may also be said in the recorded ones.
    let is_said = pattern(recorded_text).is_match(&said)
        || other
            .map_or_else(|| DECODER.is_match(recorded_text), |other| Regex::new(&format!("(?s)^(?:{other})$")).unwrap().is_match(&said));
    (want["code"] != code || !is_said).then(|| format!("want {} {}\ngot  {code} {said}", want["code"], want["message"]))
}

#[test]
fn sets_are_judged_as_recorded() {
    let on_purpose = Differences::read();
    let (mut bad, mut compared) = (Vec::new(), 0);
    for (name, case, state, _) in all("sidecarset") {
        for (index, one) in case["requests"].as_array().into_iter().flatten().enumerate().filter(|(_, one)| one["path"] == PATH) {
            let got = judged(&one["request"], &state);
            let Some(want) = on_purpose.wanted(&name, index, &one["request"], &one["want"]) else { continue };
            compared += 1;
            bad.extend(difference(&got, &one["want"], &want).map(|problem| format!("{name}, request {index}: {problem}")));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
    assert!(compared > 250, "only {compared} were compared");
}

#[test]
fn what_is_admitted_without_a_check_is_admitted_with_a_warning() {
    let (case, state) = one("set-accepted-without-check");
    let requests = case["requests"].as_array().unwrap();
    let silent = requests.iter().filter(|one| judged(&one["request"], &state).unwrap().warnings.is_empty());
    let silent: Vec<_> = silent.map(|one| &one["note"]).collect();
    assert_eq!(silent, [&json!("an empty image that is no image, without hot upgrade")]);
}
