//! Parts of a pod on the wire, for those who keep less of it than [`Pod`](super::Pod).

use super::{Phase, Wire};

/// A container of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerSpec<'w> {
    /// Its name.
    pub name: &'w str,
    /// The image that is wanted.
    pub image: &'w str,
    /// A set put it there: it says so in a variable.
    pub is_injected: bool,
}

/// What the kubelet reports of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerReport<'w> {
    /// Its name.
    pub name: &'w str,
    /// The image that runs, as the runtime calls it.
    pub image: &'w str,
    /// What the image is to the runtime.
    pub image_id: &'w str,
}

impl Wire {
    /// Where the pod is in its life.
    pub fn phase(&self) -> Phase {
        match self.status.phase.as_str() {
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            "Unknown" => Phase::Unknown,
            _ => Phase::Pending,
        }
    }

    /// The regular containers of the spec.
    pub fn containers(&self) -> impl Iterator<Item = ContainerSpec<'_>> + Clone {
        self.spec.containers.iter().map(|container| ContainerSpec {
            name: &container.name,
            image: &container.image,
            is_injected: container.env.is_injected,
        })
    }

    /// What the kubelet reports of regular containers.
    pub fn container_reports(&self) -> impl Iterator<Item = ContainerReport<'_>> + Clone {
        self.status.container_statuses.iter().map(|status| ContainerReport {
            name: &status.name,
            image: &status.image,
            image_id: &status.image_id,
        })
    }

    /// Whether the kubelet has seen the present spec, as far as it says.
    pub fn is_observed(&self) -> bool {
        match (self.metadata.generation, self.status.observed_generation) {
            (Some(generation), Some(observed)) => observed >= generation,
            _ => true,
        }
    }
}
