//! What is said to whoever may not delete something: the reference's words first, since tools look for them, then what to do.

use jiff::Timestamp;

use super::{
    keys::{ALWAYS, CASCADING, LABEL, LONGEST_TOLD},
    kind::Protectable,
    stored::{Mode, Stored},
    until::Until,
};

/// How each refusal begins. The words are transposed in the reference, and tools match on them.
pub(super) const BEGINNING: &str = "forbidden by ResourcesProtectionDeletion for ";

/// Who deletes the content of a namespace that goes.
const NAMESPACE_CONTROLLER: &str = "system:serviceaccount:kube-system:namespace-controller";
/// Who deletes what an object that has gone owned.
const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// What a refusal tells beside the reason.
#[derive(Clone, Debug)]
pub(super) struct Context {
    protectable: &'static Protectable,
    name: String,
    namespace: String,
    value: &'static str,
    told: Vec<String>,
    /// What happens to who waits for the deletion.
    consequence: Option<String>,
}

impl Context {
    pub(super) fn of(protectable: &'static Protectable, stored: &Stored, user: &str, now: Timestamp) -> Self {
        let told = |what: &str, text: &Option<String>| text.as_ref().map(|text| format!("{what}: {}", one_line(text)));
        let until = match &stored.until {
            Until::At(at) if stored.until.is_over(now) => {
                Some(format!("until: {at}, which has passed, so that its label is lifted within a minute"))
            }
            Until::At(at) => Some(format!("until: {at}")),
            Until::Never | Until::Unreadable(_) => None,
        };
        Self {
            protectable,
            name: stored.name.clone(),
            namespace: stored.namespace.clone(),
            value: if stored.mode == Mode::Always { ALWAYS } else { CASCADING },
            told: [told("reason", &stored.reason), told("owner", &stored.owner), until].into_iter().flatten().collect(),
            consequence: consequence(stored, user),
        }
    }

    /// The label says that it stays.
    pub(super) fn always(&self) -> String {
        self.refusal("", None)
    }

    /// So many hang on it.
    pub(super) fn held(&self, what: &str, count: u64, is_all: bool, remedy: &str) -> String {
        let least = if is_all { "" } else { " (at least)" };
        self.refusal(&format!(" and {what} {count}>0{least}"), Some(remedy))
    }

    /// Nobody knows what hangs on it. `why` is a whole refusal but for what to do.
    pub(super) fn unknown(&self, why: &str) -> String {
        format!("{why}; {}", self.advice(None))
    }

    /// How it becomes a workload without pods.
    pub(super) fn scaling(&self) -> String {
        format!("scale it to 0 first (`kubectl scale {}{} {} --replicas=0`)", self.place(), self.protectable.word, self.name)
    }

    fn refusal(&self, held: &str, remedy: Option<&str>) -> String {
        format!("{BEGINNING}{LABEL}={}{held}; {}", self.value, self.advice(remedy))
    }

    fn advice(&self, remedy: Option<&str>) -> String {
        let kind = self.protectable.kind.kind;
        let place = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        let told = if self.told.is_empty() { String::new() } else { format!(" ({})", self.told.join("; ")) };
        let remedy = remedy.map(|remedy| format!("{remedy}, or ")).unwrap_or_default();
        let lift = format!("lift the protection: `kubectl label {}{} {} {LABEL}-`", self.place(), self.protectable.word, self.name);
        let consequence = self.consequence.as_ref().map(|consequence| format!("; {consequence}")).unwrap_or_default();
        format!("{kind} {place}{} is protected{told}: {remedy}{lift}{consequence}", self.name)
    }

    fn place(&self) -> String {
        if self.namespace.is_empty() { String::new() } else { format!("-n {} ", self.namespace) }
    }
}

/// Controllers are refused like everybody, and try again without end.
fn consequence(stored: &Stored, user: &str) -> Option<String> {
    match user {
        NAMESPACE_CONTROLLER if !stored.namespace.is_empty() => {
            Some(format!("namespace {} is being deleted and stays Terminating until then", stored.namespace))
        }
        GARBAGE_COLLECTOR => Some("its owner is gone or going; it is tried again until then".to_owned()),
        _ => None,
    }
}

/// What somebody wrote, on one line and not without end.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    let cut: String = line.chars().take(LONGEST_TOLD).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}
