//! The definitions of our kinds, without all of which a server of ours is never ready.

use anyhow::Result;

use crate::applying;
use crate::support::Cluster;

pub(crate) const DEFINITIONS: [&str; 3] = [
    include_str!("../../manifests/crds/sidecarsets.apps.kruise.io.yaml"),
    include_str!("../../manifests/crds/podunavailablebudgets.policy.kruise.io.yaml"),
    include_str!("../../manifests/crds/workloadspreads.apps.kruise.io.yaml"),
];

/// Makes our kinds known to the API server.
pub(crate) async fn define(cluster: &Cluster) -> Result<()> {
    for definition in DEFINITIONS {
        for document in applying::documents(definition)? {
            applying::apply(&cluster.client(), "", document).await?;
        }
    }
    Ok(())
}
