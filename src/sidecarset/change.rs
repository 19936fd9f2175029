//! One change of a running pod: images, and the annotations that say why they changed. Everything in one request, so that
//! the kubelet starts a container only when the annotations beside it are right.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    keys::{HASH, HASH_WITHOUT_IMAGE, IN_PLACE_STATE},
    marks::{InPlaceState, Note, States, write_notes, write_states},
    member::Member,
    rollout::{Rollout, Sidecar},
};
use crate::plan::{Action, Form, Kind, Patch, Target};

/// A change in the making.
#[derive(Debug, Default)]
pub struct Change {
    /// New images by container.
    images: BTreeMap<String, String>,
    /// Those of them that are init containers.
    native: BTreeMap<String, String>,
    /// New annotations.
    annotations: BTreeMap<String, String>,
}

impl Change {
    /// Wants a container to run this image, unless it does.
    pub fn set_image(&mut self, member: &Member, container: &str, image: &str) {
        if member.pod.container(container).is_some_and(|present| &*present.image != image) {
            self.images.insert(container.to_owned(), image.to_owned());
        }
    }

    /// Wants the annotation to say this.
    pub fn annotate(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.insert(key.into(), value.into());
    }

    /// Whether no container is changed.
    pub fn keeps_images(&self) -> bool {
        self.images.is_empty() && self.native.is_empty()
    }

    /// A new image of a sidecar that is restarted with it. Everything but the image stays as it is in the pod.
    pub fn update(&mut self, member: &Member, sidecar: &Sidecar) {
        if !sidecar.is_native {
            return self.set_image(member, &sidecar.name, &sidecar.image);
        }
        if member.pod.init_container(&sidecar.name).is_some_and(|present| *present.image != *sidecar.image) {
            self.native.insert(sidecar.name.clone(), sidecar.image.clone());
        }
    }

    /// Notes that the pod has the set's present content now.
    pub fn note(&mut self, member: &Member, rollout: &Rollout, revision: &str, now: Timestamp) {
        let native = rollout.set.spec.init_containers.iter().flatten().filter(|container| container.is_native());
        let regular = rollout.set.spec.containers.iter().flatten();
        let mut sidecars: Vec<&str> = native.chain(regular).map(super::api::SidecarContainer::name).collect();
        sidecars.sort_unstable();
        let note = Note {
            set: rollout.name.as_str().into(),
            at: Some(now),
            hash: rollout.hash.as_str().into(),
            sidecars: Some(sidecars.join(",").into()),
            revision: (!revision.is_empty()).then(|| revision.into()),
        };
        let others = member.marks.notes.iter().filter(|note| *note.set != *rollout.name);
        self.annotate(HASH, write_notes(others.chain([&note])));
        if member.marks.is_without_image_old {
            let modern = |(set, hash): &(Arc<str>, Arc<str>)| Note {
                set: set.clone(),
                at: Some(now),
                hash: hash.clone(),
                sidecars: None,
                revision: None,
            };
            let notes: Vec<Note> = member.marks.without_image.iter().map(modern).collect();
            self.annotate(HASH_WITHOUT_IMAGE, write_notes(notes.iter()));
        }
    }

    /// Records what the changed containers ran before, from which the kubelet's reports are told to be about the new image.
    pub fn record(&mut self, member: &Member, rollout: &Rollout, now: Timestamp) {
        let before = member.marks.state(&rollout.name);
        let mut images: BTreeMap<Arc<str>, Arc<str>> = before.into_iter().flat_map(|state| state.images.iter().cloned()).collect();
        for name in self.images.keys().chain(self.native.keys()) {
            let image_id = member.status(name).map_or_else(|| "".into(), |status| status.image_id.clone());
            images.insert(name.as_str().into(), image_id);
        }
        let state = InPlaceState {
            set: rollout.name.as_str().into(),
            revision: rollout.hash.as_str().into(),
            at: Some(now),
            images: images.into_iter().collect(),
        };
        let others = match &member.marks.states {
            Some(States::Read(states)) => states.as_ref(),
            Some(States::Unreadable) | None => &[],
        };
        let others = others.iter().filter(|state| *state.set != *rollout.name);
        self.annotate(IN_PLACE_STATE, write_states(others.chain([&state])));
    }

    /// The body of the patch; refused by the API server if the pod has changed since.
    pub fn body(&self, member: &Member) -> Value {
        let containers =
            |images: &BTreeMap<String, String>| images.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
        let lists = [("containers", &self.images), ("initContainers", &self.native)];
        let spec: Map<String, Value> = lists
            .into_iter()
            .filter(|(_, images)| !images.is_empty())
            .map(|(list, images)| (list.to_owned(), Value::Array(containers(images))))
            .collect();
        let mut body = json!({"metadata": {"resourceVersion": member.pod.resource_version, "annotations": self.annotations}});
        if let (false, Some(members)) = (spec.is_empty(), body.as_object_mut()) {
            members.insert("spec".to_owned(), Value::Object(spec));
        }
        body
    }

    /// The change as a request.
    pub fn action(&self, member: &Member) -> Action {
        Action::Patch(Patch { target: target(member), sub_resource: "", form: Form::Strategic, body: self.body(member) })
    }
}

/// The pod, for requests and events.
pub fn target(member: &Member) -> Target {
    let pod = &member.pod;
    Target { kind: Kind::POD, namespace: pod.namespace.to_string(), name: pod.name.to_string(), uid: pod.uid.to_string() }
}

#[cfg(test)]
mod tests;
