//! A pod that sets were injected into, and what can be said of it and one of its sets: pure facts, from the pod alone.
//! (`pkg/control/sidecarcontrol/sidecarset_control.go`, `util.go`)

use super::{
    keys::VERSION_ALT_PREFIX,
    marks::{Marks, States},
    rollout::{Rollout, Sidecar},
};
use crate::base::{
    image,
    interned::Interner,
    observed::{Container, ContainerStatus, Pod, Wire},
};

/// A pod that sets were injected into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The pod.
    pub pod: Pod,
    /// What its annotations say of its sets.
    pub marks: Marks,
}

impl Member {
    /// Reads a pod.
    pub fn read(pod: &Wire, interner: &mut Interner) -> Self {
        Self { pod: pod.observe(interner), marks: Marks::read(pod, interner) }
    }

    /// Whether the set was injected, and all of its containers are there.
    pub fn has(&self, rollout: &Rollout) -> bool {
        let is_listed = self.marks.sets.iter().any(|set| **set == *rollout.name);
        let exists = |name: &str| self.find(name).is_some();
        let is_there = |sidecar: &Sidecar| {
            if !sidecar.is_hot {
                return exists(&sidecar.name);
            }
            let is_known = self.marks.working.iter().any(|(name, _)| **name == *sidecar.name);
            is_known && sidecar.containers().iter().all(|name| exists(name))
        };
        is_listed && rollout.sidecars.iter().all(is_there)
    }

    /// A container of this name, init containers first.
    pub fn find(&self, name: &str) -> Option<&Container> {
        self.pod.init_container(name).or_else(|| self.pod.container(name))
    }

    /// Whether the pod has the set's present content, by its own note.
    pub fn is_updated(&self, rollout: &Rollout) -> bool {
        self.marks.hash(&rollout.name) == rollout.hash
    }

    /// Whether changing images makes of the pod what a new one would be.
    pub fn is_upgradable(&self, rollout: &Rollout) -> bool {
        self.marks.hash_without_image(&rollout.name) == rollout.hash_without_image
    }

    /// Whether the present content has another image for one of the pod's native sidecars.
    pub fn needs_native_change(&self, rollout: &Rollout) -> bool {
        let mut native = rollout.sidecars.iter().filter(|sidecar| sidecar.is_native);
        native.any(|sidecar| self.pod.init_container(&sidecar.name).is_some_and(|present| *present.image != *sidecar.image))
    }

    /// Whether no earlier change of an image is still on its way: each of the set's containers that is ready runs what its spec says.
    /// A container that is not ready never waits, since a newer image may be what mends it.
    pub fn is_settled(&self, rollout: &Rollout) -> bool {
        let is_ready = |name: &str| self.status(name).is_some_and(|status| status.is_ready);
        rollout.containers.iter().all(|name| !is_ready(name) || self.is_consistent(rollout, [name.as_str()]))
    }

    /// Whether the kubelet reports that these containers run what the spec says.
    pub fn is_consistent<'n>(&self, rollout: &Rollout, names: impl IntoIterator<Item = &'n str>) -> bool {
        if self.pod.containers.len() != self.pod.reported {
            return false;
        }
        let is_told = !matches!(self.marks.states, Some(States::Unreadable));
        names.into_iter().all(|name| self.find(name).is_none_or(|container| self.runs(rollout, container, is_told)))
    }

    /// Whether all containers of the set run what the spec says.
    pub fn is_all_consistent(&self, rollout: &Rollout) -> bool {
        self.is_consistent(rollout, rollout.containers.iter().map(String::as_str))
    }

    fn runs(&self, rollout: &Rollout, container: &Container, is_told: bool) -> bool {
        let status = container.status.as_ref();
        // A digest is the image, wherever it was pulled from.
        if let Some(wanted) = image::digest(&container.image) {
            let Some(status) = status else { return false };
            if let Some(running) = image::digest(&status.image_id) {
                return running == wanted;
            }
        }
        let before = self.marks.state(&rollout.name).and_then(|state| state.images.iter().find(|(name, _)| *name == container.name));
        match (before, status) {
            (Some((_, before)), Some(status)) => *before != status.image_id || image::is_same(&container.image, &status.image),
            (None, _) => is_told,
            (Some(_), None) => true,
        }
    }

    /// The twin that is yet to get the empty image, if a hot upgrade of this pod has come so far. A pod that was at rest when the set
    /// got another empty image is still at rest: that is rolled out like any other change.
    pub fn left_over(&self, rollout: &Rollout, sidecar: &Sidecar) -> Option<String> {
        let [working, other] = self.marks.twins(&sidecar.name);
        let is_begun = !["", "0"].contains(&self.marks.version(&format!("{VERSION_ALT_PREFIX}{working}")));
        let concerns = !sidecar.empty_image.is_empty() && (self.is_updated(rollout) || is_begun);
        let is_live = concerns && self.pod.container(&other).is_some_and(|container| *container.image != *sidecar.empty_image);
        is_live.then_some(other)
    }

    /// Whether the pod is ready, and no hot upgrade of the set is half done.
    pub fn is_ready(&self, rollout: &Rollout) -> bool {
        self.pod.is_available() && rollout.hot().all(|sidecar| self.left_over(rollout, sidecar).is_none())
    }

    /// Whether the set's sidecars are as they should be, and the pod serves.
    pub fn is_available(&self, rollout: &Rollout) -> bool {
        self.is_ready(rollout) && self.is_all_consistent(rollout)
    }

    /// What the kubelet reports of a container.
    pub fn status(&self, name: &str) -> Option<&ContainerStatus> {
        self.find(name)?.status.as_ref()
    }
}

#[cfg(test)]
mod tests;
