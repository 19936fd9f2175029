//! When two answers are alike: what `conformance/README.md` says to mask, and what `differences.yaml` says to answer otherwise.

use std::{fs, path::Path};

use outrigger::offline::documents;
use regex::Regex;
use serde_json::{Map, Value, json};

const EMPTY_MEANS_ABSENT: [&str; 9] = [
    "resources",
    "status",
    "securityContext",
    "injectionStrategy",
    "updateStrategy",
    "strategy",
    "annotations",
    "labels",
    "upgradeStrategy",
];
const TIMES: [&str; 4] = ["updateTimestamp", "creationTimestamp", "lastTransitionTime", "lastUpdateTime"];
/// Kinds that hooks keep something in.
const KEEPERS: [&str; 2] = ["PodUnavailableBudget", "WorkloadSpread"];
const MATCHED: &str = "apps.kruise.io/matched-workloadspread";
/// Words of Go's own decoders, which need not be copied.
const DECODER: &str = r"json: cannot|no content to decode|cannot unmarshal|unmarshal|strconv\.|failed to evaluate|invalid character|panic:";

/// The recorded folder.
pub(crate) fn recorded(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder)
}

/// The value with absent, null and meaningless empties made alike, and times masked.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, member) in members {
                if TIMES.contains(&name.as_str()) && member.is_string() {
                    out.insert(name.clone(), json!("<time>"));
                    continue;
                }
                let member = if name == MATCHED { matched(member) } else { plain(&annotation(name, member)) };
                let is_empty = member.as_object().is_some_and(Map::is_empty) || member.as_array().is_some_and(Vec::is_empty);
                let is_absent = member.is_null() || (is_empty && EMPTY_MEANS_ABSENT.contains(&name.as_str()));
                if !is_absent {
                    out.insert(name.clone(), member);
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// Annotations of the reference that hold JSON are compared as such; those that sets merge are compared as texts.
fn annotation(key: &str, value: &Value) -> Value {
    let is_ours = key.starts_with("kruise.io/") || key.starts_with("apps.kruise.io/");
    let text = value.as_str().filter(|text| is_ours && text.starts_with(['{', '[']));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone())
}

/// Where a pod was placed. The id of one without a name is made up by whoever answers.
fn matched(value: &Value) -> Value {
    let mut mark = annotation(MATCHED, value);
    if let Some(uid) = mark.get_mut("uid") {
        *uid = json!("<id>");
    }
    mark
}

/// A recorded message as a regular expression: values that Go shows in its own notation match anything.
fn pattern(message: &str) -> String {
    let dump = Regex::new(
        r"(?:map\[[^\]]*\][\w.*]*|\[\][\w.*]+|&|\*?\b(?:v1|v1beta1|v1alpha1|core|intstr|resource|labels|field|time|types)\.\w+)[{(]",
    );
    let (dump, mut out, mut rest) = (dump.unwrap(), String::new(), message);
    while let Some(found) = dump.find(rest) {
        out.push_str(&regex::escape(&rest[..found.start()]));
        out.push_str(".*?");
        rest = &rest[end_of_dump(rest, found.end() - 1)..];
    }
    out + &regex::escape(rest)
}

/// Behind the bracket that closes the one at `from`; brackets in quotes do not count.
fn end_of_dump(text: &str, from: usize) -> usize {
    let (mut depth, mut is_quoted, mut before) = (0, false, ' ');
    for (at, character) in text[from..].char_indices() {
        match character {
            '"' if before != '\\' => is_quoted = !is_quoted,
            '{' | '(' if !is_quoted => depth += 1,
            '}' | ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        before = character;
        if depth == 0 {
            return from + at + character.len_utf8();
        }
    }
    text.len()
}

/// What `differences.yaml` says.
pub(crate) struct Differences(Vec<Difference>);

struct Difference {
    case: Regex,
    begins: Regex,
    requests: Vec<u64>,
    entry: Value,
}

impl Differences {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(recorded("differences.yaml")).unwrap();
        let entries: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
        Self(entries.into_iter().map(Difference::of).collect())
    }

    /// Whether it does not matter what the hooks leave behind.
    pub(crate) fn leaves_after_open(&self, case: &str) -> bool {
        self.0.iter().any(|difference| difference.entry["after"] == "any" && difference.case.is_match(case))
    }

    /// What is wanted for a recorded answer: that answer, or what the file makes of it, whose message is a regular expression.
    /// `None`: anything but a crash.
    pub(crate) fn wanted(&self, case: &str, index: usize, request: &Value, recorded: &Value) -> Option<Value> {
        let mut want = recorded.clone();
        for difference in self.0.iter().filter(|difference| difference.is_about(case, index, request, recorded)) {
            match &difference.entry["answer"] {
                Value::String(any) if any == "any" => return None,
                Value::String(more) if more == "more" => {
                    want["message"] = json!(format!("{}.*", pattern(recorded["message"].as_str().unwrap_or_default())));
                }
                Value::Object(members) => want.as_object_mut().unwrap().extend(members.clone()),
                _ => {}
            }
            if difference.entry["answer"]["allowed"] == true {
                want.as_object_mut().unwrap().retain(|member, _| !["code", "reason", "message"].contains(&member.as_str()));
            }
            want.as_object_mut().unwrap().retain(|_, member| !member.is_null());
        }
        Some(want)
    }
}

impl Difference {
    fn of(entry: Value) -> Self {
        let glob = regex::escape(entry["case"].as_str().unwrap()).replace(r"\*", ".*");
        let one = entry["request"].as_u64().into_iter().collect();
        Self {
            case: Regex::new(&format!("^{glob}$")).unwrap(),
            begins: Regex::new(&format!("^(?:{})", entry["begins"].as_str().unwrap_or_default())).unwrap(),
            requests: entry["requests"].as_array().map_or(one, |all| all.iter().filter_map(Value::as_u64).collect()),
            entry,
        }
    }

    fn is_about(&self, case: &str, index: usize, request: &Value, recorded: &Value) -> bool {
        let verdict = if recorded["allowed"] == json!(true) { "allowed" } else { "denied" };
        let is_eviction = request["subResource"] == "eviction";
        self.case.is_match(case)
            && (self.requests.is_empty() || self.requests.contains(&(index as u64)))
            && self.entry["verdict"].as_str().is_none_or(|wanted| wanted == verdict)
            && self.entry["eviction"].as_bool().is_none_or(|wanted| wanted == is_eviction)
            && self.entry["code"].as_u64().is_none_or(|code| recorded["code"] == code)
            && self.begins.is_match(recorded["message"].as_str().unwrap_or_default())
    }
}

/// The object of a request after the patch of its response.
pub(crate) fn patched(request: &Value, response: &Value) -> Value {
    use base64::Engine as _;
    let mut object = request["object"].clone();
    if let Some(patch) = response["patch"].as_str() {
        let patch: json_patch::Patch = serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(patch).unwrap()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    object
}

/// Whether a message will do: any in place of a decoder's words, the recorded one, and what `differences.yaml` allows besides.
fn will_do(said: &str, recorded: &Value, want: &Value) -> bool {
    let text = recorded["message"].as_str().unwrap_or_default();
    let is = |pattern: &str| Regex::new(&format!("^(?s:{pattern})$")).unwrap().is_match(said);
    let other = want["message"].as_str().filter(|wanted| *wanted != text);
    is(&pattern(text)) || other.map_or_else(|| Regex::new(DECODER).unwrap().is_match(text), is)
}

/// How the response to a request differs from what is wanted in place of the recorded one.
pub(crate) fn differences(request: &Value, recorded: &Value, want: &Value, response: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, want: Value, got: Value| {
        if want != got {
            found.push(format!("{what}: want {want}, got {got}"));
        }
    };
    compare("uid", request["uid"].clone(), response["uid"].clone());
    compare("allowed", want["allowed"].clone(), response["allowed"].clone());
    if want["allowed"] == json!(true) {
        let object = if want.get("object").is_some() { &want["object"] } else { &request["object"] };
        let (object, got) = (object.clone(), patched(request, response));
        compare("object", plain(&object), plain(&got));
        return found;
    }
    let (said, code) = (&response["status"]["message"], response["status"]["code"].as_u64().unwrap_or_default());
    if !will_do(said.as_str().unwrap_or_default(), recorded, want) {
        compare("message", want["message"].clone(), said.clone());
    }
    // Where the reference says 500 a client is told what it is: the object's fault.
    let is_ours = request["resource"]["group"].as_str().is_some_and(|group| group.ends_with("kruise.io"));
    if want["code"] == 500 || is_ours {
        compare("code 400 to 422", json!(true), json!((400..=422).contains(&code)));
    } else {
        compare("code", want["code"].clone(), json!(code));
    }
    found
}

/// A recorded case.
pub(crate) fn case(path: &Path) -> (String, Value) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    // To YAML 1.1, in which they are written, U+2028 ends a line: the blanks after it are no part of the text.
    let breaks = Regex::new(r"([\u{2028}\u{2029}]) +").unwrap();
    let text = fs::read_to_string(path).unwrap();
    let case = documents::parse(&name, &breaks.replace_all(&text, "$1")).unwrap().remove(0).value;
    (name, case)
}

/// What hooks keep in a custom resource, of those kinds that they keep something in.
fn kept(object: &Value) -> Vec<(&'static str, Value)> {
    if object["kind"] == "WorkloadSpread" {
        return vec![("versionedSubsetStatuses", subsets(&object["status"]["versionedSubsetStatuses"]))];
    }
    // Only in which pods are recorded is compared, not when.
    let names = |map: &Value| json!(map.as_object().into_iter().flatten().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>());
    let status = &object["status"];
    vec![
        ("disruptedPods", names(&status["disruptedPods"])),
        ("unavailablePods", names(&status["unavailablePods"])),
        ("unavailableAllowed", status["unavailableAllowed"].clone()),
    ]
}

/// Subsets, of all revisions or of one: which pods are noted is compared, not when, nor under which ids of their own.
fn subsets(value: &Value) -> Value {
    let id = Regex::new("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").unwrap();
    let name = |name: &String| if id.is_match(name) { "<id>".to_owned() } else { name.clone() };
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let notes = value.as_object().filter(|_| ["creatingPods", "deletingPods"].contains(&key.as_str()));
                let notes = notes.map(|notes| {
                    let mut notes: Vec<_> = notes.keys().map(name).collect();
                    notes.sort();
                    notes
                });
                (key.clone(), notes.map_or_else(|| subsets(value), |notes| json!(notes)))
            };
            plain(&Value::Object(members.iter().map(member).filter(|(_, value)| *value != json!([])).collect()))
        }
        Value::Array(items) => items.iter().map(subsets).collect(),
        other => other.clone(),
    }
}

/// How what hooks keep in the objects differs from what was recorded of them.
pub(crate) fn left_otherwise(recorded: &Value, objects: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for want in recorded.as_array().into_iter().flatten().filter(|object| KEEPERS.iter().any(|kind| object["kind"] == *kind)) {
        let is_it = |object: &&Value| {
            object["kind"] == want["kind"]
                && ["namespace", "name"].iter().all(|member| object["metadata"][member] == want["metadata"][member])
        };
        let Some(got) = objects.iter().find(is_it) else {
            found.push(format!("{} is gone", want["metadata"]["name"]));
            continue;
        };
        let differs = kept(want).into_iter().zip(kept(got)).filter(|(want, got)| want != got);
        let name = &want["metadata"]["name"];
        found.extend(differs.map(|((member, want), (_, got))| format!("{name}: {member}: want {want}, got {got}")));
    }
    found
}
