//! Which sets apply to a new pod, and which content of each.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    api::{InjectedRevision, SidecarSetSpec},
    content::Content,
    index::{Entry, SetIndex},
    revision::{Revision, Revisions},
};
use crate::base::{
    pod::{Meta, Pairs},
    reasons::Reasons,
    selector::{Labels, Selector, SelectorError},
};

/// Which content of a set new pods get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The present one.
    Current,
    /// A recorded one, for all pods or for those that the update strategy keeps back.
    Recorded {
        /// Which recorded one.
        revision: Recorded,
        /// Who gets it.
        share: Share,
    },
}

/// A recorded revision by what the user calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Name of a ControllerRevision.
    Name(String),
    /// The newest one with this custom version.
    CustomVersion(String),
}

/// Which pods get a recorded revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// All.
    All,
    /// Those that a selector does not match.
    Unless(Result<Selector, SelectorError>),
    /// So many of a hundred, in hundredths of a percent; or what stands there instead of a percentage.
    Percent(Result<u64, String>),
    /// None.
    None,
}

/// A set that applies to a pod.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'s> {
    /// The set.
    pub set: &'s Entry,
    /// What the pod gets of it.
    pub content: &'s Content,
}

/// Why the content for a pod cannot be told.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum SelectError {
    /// The named revision is gone or broken.
    #[error(transparent)]
    Revision(#[from] PinError),
    /// The update selector of a partial injection.
    #[error("SidecarSet {0}: spec.updateStrategy.selector.{1}")]
    UpdateSelector(String, SelectorError),
    /// The partition of a partial injection.
    #[error("SidecarSet {0}: spec.updateStrategy.partition: expected a percentage like `20%`, found `{1}`")]
    Partition(String, String),
}

/// Why the content of the revision that a set names cannot be told.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PinError {
    /// There is no such revision.
    #[error("ControllerRevision.apps \"{0}\" not found")]
    NotFound(String),
    /// What it records does not make a set.
    #[error("SidecarSet {set}: {problem}")]
    Broken {
        /// Name of the set.
        set: String,
        /// What is wrong.
        problem: String,
    },
}

/// Counts the new pods of sets that give a percentage of them an old revision.
pub trait Tally {
    /// How many pods of this set have been counted before; counts one more.
    fn next(&self, set: &str) -> u64;
}

impl Choice {
    /// Reads the choice from a set.
    pub fn of(spec: &SidecarSetSpec) -> Self {
        let Some(injected) = &spec.injection_strategy.revision else { return Self::Current };
        let revision = match injected {
            InjectedRevision { revision_name: Some(name), .. } => Recorded::Name(name.clone()),
            InjectedRevision { custom_version: Some(version), .. } => Recorded::CustomVersion(version.clone()),
            _ => return Self::Current,
        };
        let update = &spec.update_strategy;
        // Any other policy means `Always`, and a paused update keeps every pod back.
        let share = if update.paused || injected.policy.as_deref() != Some("Partial") {
            Share::All
        } else if let Some(selector) = &update.selector {
            Share::Unless(Selector::compile(selector))
        } else {
            match &update.partition {
                None | Some(IntOrString::Int(_)) => Share::None,
                Some(IntOrString::String(text)) => Share::Percent(percent(text).ok_or_else(|| text.clone())),
            }
        };
        Self::Recorded { revision, share }
    }

    /// The recorded revision that is named.
    pub fn named<'r>(&self, set: &str, revisions: &'r Revisions) -> Result<&'r Revision, PinError> {
        let (found, name) = match self {
            Self::Recorded { revision: Recorded::Name(name), .. } => (revisions.by_name(name), name.as_str()),
            Self::Recorded { revision: Recorded::CustomVersion(version), .. } => (revisions.newest_of(set, version), set),
            Self::Current => (None, set),
        };
        found.map(AsRef::as_ref).ok_or_else(|| PinError::NotFound(name.to_owned()))
    }
}

/// Hundredths of a percent.
fn percent(text: &str) -> Option<u64> {
    let number: f64 = text.strip_suffix('%')?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 10000")]
    Some((number * 100.0).clamp(0.0, 10_000.0) as u64)
}

/// The sets that apply to a new pod, in order. `namespace_labels` is `None` if nothing is known of the namespace.
pub fn select<'s, R: Reasons>(
    pod: &Meta<'_>,
    candidates: impl Iterator<Item = &'s Entry>,
    namespace_labels: Option<&impl Labels>,
    tally: &impl Tally,
    reasons: &mut R,
) -> Result<Vec<Selected<'s>>, SelectError> {
    let mut selected = Vec::new();
    for set in candidates {
        if applies(set, &pod.labels, namespace_labels, reasons) {
            let content = content(set, pod, tally, reasons)?;
            selected.push(Selected { set, content });
        }
    }
    if selected.iter().any(|s| s.set.canary_of.is_some()) {
        let bases: Vec<String> = selected.iter().filter_map(|s| s.set.canary_of.clone()).collect();
        selected.retain(|s| {
            let replaced = bases.contains(&s.set.name);
            if replaced {
                reasons.say(&s.set.name, || "a canary of it applies in its place".to_owned());
            }
            !replaced
        });
    }
    Ok(selected)
}

/// The sets that may apply to a pod, found through the index.
pub fn candidates<'s>(pod: &Meta<'_>, namespace: &str, sets: &'s SetIndex) -> impl Iterator<Item = &'s Entry> + use<'s> {
    sets.candidates(namespace, &pod.labels).into_iter().map(|entry| &**entry)
}

fn applies(set: &Entry, labels: &Pairs<'_>, namespace_labels: Option<&impl Labels>, reasons: &mut impl Reasons) -> bool {
    if set.is_paused {
        reasons.say(&set.name, || "spec.injectionStrategy.paused: new pods are not injected".to_owned());
        return false;
    }
    let Some(selector) = &set.selector else {
        reasons.say(&set.name, || "spec.selector: absent or empty, so it selects no pod".to_owned());
        return false;
    };
    if let Some(unmet) = selector.unmet(labels) {
        reasons.say(&set.name, || format!("spec.selector: needs {unmet}, pod has {}", has(labels, unmet.key())));
        return false;
    }
    match (&set.namespaces, namespace_labels) {
        (None, _) => {}
        (Some(_), None) => {
            reasons.say(&set.name, || "spec.namespaceSelector: the pod's namespace is not known".to_owned());
            return false;
        }
        (Some(namespaces), Some(labels)) => {
            if let Some(unmet) = namespaces.unmet(labels) {
                reasons.say(&set.name, || format!("spec.namespaceSelector: needs {unmet}, namespace has {}", has(labels, unmet.key())));
                return false;
            }
        }
    }
    reasons.say(&set.name, || "applies".to_owned());
    true
}

fn has(labels: &impl Labels, key: &str) -> String {
    labels.label(key).map_or_else(|| format!("no label {key}"), |value| format!("{key}={value}"))
}

/// Which content of a set a pod gets.
fn content<'s>(set: &'s Entry, pod: &Meta<'_>, tally: &impl Tally, reasons: &mut impl Reasons) -> Result<&'s Content, SelectError> {
    let (Choice::Recorded { share, .. }, Some(pinned)) = (&set.choice, &set.pinned) else { return Ok(&set.content) };
    // The reference loads the revision before it looks who gets it, so that a missing one shows at once.
    let recorded = pinned.as_ref().map_err(Clone::clone)?;
    let gets_recorded = match share {
        Share::All => true,
        Share::None => false,
        Share::Unless(selector) => {
            let selector = selector.as_ref().map_err(|error| SelectError::UpdateSelector(set.name.clone(), error.clone()))?;
            !selector.matches(&pod.labels)
        }
        Share::Percent(share) => {
            let share = *share.as_ref().map_err(|text| SelectError::Partition(set.name.clone(), text.clone()))?;
            match given_before(set, recorded, pod) {
                Some(was_recorded) => was_recorded,
                None => is_drawn(share, tally.next(&set.name)),
            }
        }
    };
    reasons.say(&set.name, || {
        let which = if gets_recorded { recorded.revision.as_deref().unwrap_or("recorded") } else { "present" };
        format!("content: {which}")
    });
    Ok(if gets_recorded { recorded } else { &set.content })
}

/// A pod that comes through admission a second time keeps what it was given: whether that was the recorded content.
fn given_before(set: &Entry, recorded: &Content, pod: &Meta<'_>) -> Option<bool> {
    let noted = super::notes::revision_of(pod.annotation(super::keys::HASH)?, &set.name)?;
    if Some(&noted) == recorded.revision.as_ref() {
        Some(true)
    } else if Some(&noted) == set.content.revision.as_ref() {
        Some(false)
    } else {
        None
    }
}

/// Whether the pod with this number is one of the share, spread evenly: of any hundred pods in a row exactly so many are.
fn is_drawn(hundredths: u64, number: u64) -> bool {
    let up_to = |n: u64| u128::from(n) * u128::from(hundredths) / 10_000;
    up_to(number.saturating_add(1)) > up_to(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_over_any_hundred_pods() {
        for share in [0, 1, 33, 50, 99, 100] {
            for start in [0, 7, 1000] {
                let drawn = (start..start + 100).filter(|n| is_drawn(share * 100, *n)).count() as u64;
                assert_eq!(drawn, share, "share {share} from {start}");
            }
        }
    }

    #[test]
    fn a_percentage_ends_in_a_percent_sign() {
        assert_eq!(percent("20%"), Some(2_000));
        assert_eq!(percent("0.5%"), Some(50));
        assert_eq!(percent("250%"), Some(10_000));
        assert_eq!((percent("20"), percent("abc%"), percent("")), (None, None, None));
    }
}
