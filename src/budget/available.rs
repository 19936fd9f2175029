//! Whether a pod is available: ready, in service, and not in the middle of a change. (reference: `pub.md` §4)
//!
//! One difference, on purpose: images are compared by their full names, and only where both sides name a digest of one repository. What
//! cannot be compared does not make a ready pod unavailable, for then it would not be guarded either. (kruise issue 2570)

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::keys::{IN_PLACE_GRACE, IN_PLACE_STATE, INJECTED_LIST, RUNTIME_CONTAINERS, SIDECAR_STATE, UNAVAILABLE_LABEL};
use crate::base::{
    decode::or_default,
    image,
    observed::{ContainerReport, ContainerSpec, Phase, Wire},
};

/// Neither finished nor being deleted.
pub fn is_active(pod: &Wire) -> bool {
    !is_terminating(pod) && !matches!(pod.phase(), Phase::Succeeded | Phase::Failed)
}

/// Runs, is ready, is in service, and is not in the middle of a change.
pub fn is_available(pod: &Wire) -> bool {
    let is_ready = pod.condition("Ready").is_some_and(|ready| ready.status == "True");
    pod.phase() == Phase::Running && is_ready && !is_terminating(pod) && !is_out_of_service(pod) && is_settled(pod)
}

fn is_terminating(pod: &Wire) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether a label takes the pod out of service.
pub fn is_out_of_service(pod: &Wire) -> bool {
    pod.metadata.labels.iter().flatten().any(|(key, _)| key.starts_with(UNAVAILABLE_LABEL))
}

/// What an annotation says of an update in place, as far as it is read here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct State {
    #[serde(deserialize_with = "or_default")]
    next_container_images: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    next_container_ref_metadata: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    next_container_resources: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    last_container_statuses: BTreeMap<String, Last>,
    #[serde(deserialize_with = "or_default")]
    update_env_from_metadata: bool,
}

/// What ran before.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Last {
    #[serde(rename = "imageID", deserialize_with = "or_default")]
    image_id: String,
}

/// Whether no change of the pod's containers is under way, as far as can be seen.
fn is_settled(pod: &Wire) -> bool {
    let pinned = pod.containers().filter(|container| image::digest(container.image).is_some());
    if !pinned.clone().all(|container| runs_its_digest(pod, container)) {
        return false;
    }
    // As in the reference: images that are all pinned say it all.
    if pinned.count() == pod.containers().count() {
        return true;
    }
    are_sidecars_settled(pod) && is_in_place_update_done(pod)
}

/// Whether the runtime reports the image that a container is pinned to. A digest of another repository says nothing: images have several.
fn runs_its_digest(pod: &Wire, container: ContainerSpec<'_>) -> bool {
    let Some(report) = report(pod, container.name) else { return false };
    let (Some(wanted), Some(found)) = (image::digest(container.image), image::digest(report.image_id)) else { return true };
    wanted == found || image::repository(container.image) != image::repository(report.image_id)
}

fn report<'w>(pod: &'w Wire, name: &str) -> Option<ContainerReport<'w>> {
    pod.container_reports().find(|report| report.name == name)
}

/// Whether no sidecar of the pod waits for its new image.
fn are_sidecars_settled(pod: &Wire) -> bool {
    let sets: Vec<_> = pod.annotation(INJECTED_LIST).unwrap_or_default().split(',').filter(|set| !set.is_empty()).collect();
    let injected: Vec<_> = pod.containers().filter(|container| container.is_injected).collect();
    let Some(text) = pod.annotation(SIDECAR_STATE).filter(|_| !sets.is_empty() && !injected.is_empty()) else { return true };
    let Ok(states) = serde_json::from_str::<BTreeMap<String, State>>(text) else { return false };
    let mut last = BTreeMap::new();
    // By name of the set: later ones count.
    for (_, state) in states.into_iter().filter(|(set, _)| sets.contains(&set.as_str())) {
        last.extend(state.last_container_statuses);
    }
    injected.iter().filter_map(|container| Some((container, report(pod, container.name)?))).all(|(container, report)| {
        let is_as_before = last.get(container.name).is_some_and(|last| last.image_id == report.image_id);
        !is_as_before || container.image == report.image
    })
}

/// The value of the first of these annotations that is there.
fn annotation<'w>(pod: &'w Wire, keys: &[&str]) -> Option<&'w str> {
    keys.iter().find_map(|key| pod.annotation(key))
}

/// Whether no update in place is under way. Hashes that only the agent of a node can tell are not computed here: an update of
/// variables from metadata counts as under way until its annotation is gone.
fn is_in_place_update_done(pod: &Wire) -> bool {
    if annotation(pod, &IN_PLACE_GRACE).is_some() {
        return false;
    }
    let Some(text) = annotation(pod, &IN_PLACE_STATE) else { return true };
    let Ok(state) = serde_json::from_str::<State>(text) else { return false };
    let has_more = !state.next_container_images.is_empty()
        || !state.next_container_ref_metadata.is_empty()
        || !state.next_container_resources.is_empty();
    let is_garbled = pod.annotation(RUNTIME_CONTAINERS).is_some_and(|text| serde_json::from_str::<Value>(text).is_err());
    if has_more || is_garbled || state.update_env_from_metadata {
        return false;
    }
    state.last_container_statuses.iter().all(|(name, last)| {
        let Some(report) = report(pod, name) else { return false };
        let wanted = pod.containers().find(|container| container.name == name).map(|container| container.image);
        let is_as_before = report.image_id == last.image_id;
        !is_as_before || wanted.is_none_or(|wanted| with_tag(wanted) == report.image)
    })
}

/// The image with the tag that goes without saying.
fn with_tag(image: &str) -> String {
    if image.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests;
