//! WorkloadSpreads on a real control plane: the real scheduler, real controllers, nodes in three zones.

pub(crate) mod adaptive;
pub(crate) mod life;
pub(crate) mod owners;
pub(crate) mod patches;
pub(crate) mod replicas;
pub(crate) mod scaling;
