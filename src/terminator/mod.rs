//! Sidecars of finished Jobs are ended: without that a pod whose work is done runs on, and its Job never completes.
//! It has nothing to do with SidecarSets; any container may ask for it by its variables ([`crate::base::observed::Ending`]).
//! Only with the feature gate `SidecarTerminator`. (Reference: `pkg/controller/sidecarterminator`)
//!
//! # What has to be fed
//!
//! - A pod is looked at when it is listed, made or changed and [`classify::is_due`] says so. Deletions do not matter.
//! - [`plan::World::is_virtual_node`]: [`classify::is_virtual`] of the labels of the node [`crate::base::observed::Ending::node`].
//!   If the node cannot be read or is not there, look again later and plan nothing: the other kind of node would get the
//!   wrong end.
//! - [`plan::World::has_recreate_requests`]: the API server serves `containerrecreaterequests.apps.kruise.io`. Without it
//!   there is no agent on the nodes, and pods are marked as finished instead.
//! - [`plan::World::existing_requests`]: which of [`plan::request_names`] exist in the pod's namespace; none need be asked
//!   for on a virtual node or without the kind.
//! - [`plan::Action`]s are carried out in order, up to the first that fails; then the pod is looked at again. A patch that is
//!   refused because the pod has changed (409), is another one (422) or is gone (404) is no failure: the change brings the pod
//!   here again if need be. A request that exists already (409) is as good as created.
//! - Events are told once: a plan that is made again from the same pod has the same texts.
//!
//! Needs the rights to patch `pods` and `pods/status`, to create `events`, to read `nodes`, to read and create
//! `containerrecreaterequests`, and to update `pods/finalizers` where the API server asks for that of whoever blocks the
//! deletion of an owner.

pub mod classify;
#[cfg(test)]
mod drawn;
pub mod plan;
