//! A cluster as a new user has it: a control plane of its own, in which services lead somewhere and the pods of our Deployment really
//! run. What is applied there is what is rendered, unchanged.

mod container;
mod kubelet;
mod network;

use std::ops::Deref;
use std::sync::Arc;

use anyhow::Result;

pub(crate) use self::kubelet::{Kubelet, OURS, Server};
use self::network::{Line, Network};
use crate::support::Cluster;

/// Gone with all its processes when dropped.
pub(crate) struct Estate {
    pub(crate) cluster: Arc<Cluster>,
    /// Who runs our pods.
    pub(crate) kubelet: Kubelet,
    /// What lies between our pods and the API server.
    pub(crate) line: Line,
    /// What services lead to.
    pub(crate) network: Network,
}

impl Estate {
    /// Of the same programs as `like`.
    pub(crate) async fn start(like: &Cluster) -> Result<Self> {
        let cluster = Arc::new(like.another().await?);
        let network = Network::open(&cluster.plane)?;
        let (port, authority) = cluster.plane.api_server();
        let wire = Line::to(port).await?;
        let (supervisor, folder) = (Arc::clone(&cluster.plane.supervisor), cluster.plane.folder.join("pods"));
        let sockets = Arc::clone(&network.sockets);
        let kubelet = Kubelet::start(cluster.client(), supervisor, folder, (wire.port, authority), sockets);
        Ok(Self { cluster, kubelet, line: wire, network })
    }
}

impl Deref for Estate {
    type Target = Arc<Cluster>;

    fn deref(&self) -> &Arc<Cluster> {
        &self.cluster
    }
}
