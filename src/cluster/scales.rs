//! Scales of workloads that are not mirrored, asked of the API server when a plan needs them.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::autoscaling::v1::Scale as Answer;
use kube::Client;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    apply::{Failure, resources},
    kinds::{Kinds, Known, fresh, remember},
};
use crate::{
    base::{
        selector::Selector,
        workload::{Owner, Workload},
    },
    budget::picture::{Coordinates, Scale},
};

/// How long an answer about one workload holds: several may ask in a moment.
const SCALE_HOLDS: Duration = Duration::from_secs(2);

/// The scales of workloads.
pub struct Scales {
    /// Which resources their kinds are.
    pub kinds: Kinds,
    /// By namespace and workload.
    answers: Mutex<Known<(Arc<str>, Coordinates), Scale>>,
}

impl Scales {
    /// Asks through this client.
    pub fn new(client: Client) -> Self {
        Self { kinds: Kinds::new(client), answers: Mutex::default() }
    }

    /// The scale of a workload, as of at most two seconds ago. No answer is an answer as well.
    pub async fn of(&self, namespace: &str, owner: &Owner) -> Scale {
        let (key, now) = ((Arc::from(namespace), owner.coordinates()), Instant::now());
        if let Some(known) = fresh(&self.answers.lock(), &key, now, |_| SCALE_HOLDS) {
            return known;
        }
        let scale = match self.ask(namespace, owner).await {
            Ok(scale) => scale,
            Err(failure) => Scale::Unanswered(failure.to_string()),
        };
        remember(&mut self.answers.lock(), key, scale.clone(), |_| SCALE_HOLDS);
        scale
    }

    async fn ask(&self, namespace: &str, owner: &Owner) -> Result<Scale, Failure> {
        let Some(resource) = self.kinds.resource(owner).await? else { return Ok(Scale::UnknownKind) };
        if !resource.is_scaled {
            return Ok(Scale::NoScale);
        }
        let path = format!("{}/{}/scale", resources(&resource.root, namespace, &resource.plural), owner.name);
        match self.kinds.get::<Answer>(&path).await {
            Ok(answer) => Ok(Scale::Found(Arc::new(workload(namespace, owner, answer)))),
            // Unless the kind itself is no longer where it was: then it is looked for anew.
            Err(Failure::Outdated(text)) => {
                if self.kinds.is_still(owner, &resource).await? {
                    Ok(Scale::Missing)
                } else {
                    Err(Failure::Outdated(text))
                }
            }
            Err(Failure::Refused(_)) => Ok(Scale::Forbidden),
            Err(failure) => Err(failure),
        }
    }
}

/// A workload, as far as its scale tells. A scale without a number has none.
fn workload(namespace: &str, owner: &Owner, scale: Answer) -> Workload {
    let selector = scale.status.and_then(|status| status.selector).and_then(|text| Selector::parse(&text).ok());
    let uid = scale.metadata.uid.map_or_else(|| Arc::clone(&owner.uid), Arc::from);
    Workload {
        namespace: namespace.into(),
        identity: Owner { uid, ..owner.clone() },
        replicas: Some(scale.spec.and_then(|spec| spec.replicas).unwrap_or_default()),
        // An empty one would select all.
        selector: selector.filter(|selector| !selector.is_empty()),
        is_terminating: scale.metadata.deletion_timestamp.is_some(),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests;
