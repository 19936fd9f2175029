//! Objects that carry the label of deletion protection: found, and relieved of it. Their metadata alone is read.

use kube::{
    Client,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    core::{ObjectList, ObjectMeta, PartialObjectMeta, Request},
};
use serde_json::{Value, json};

use super::apply::{Failure, MANAGER, requests, resources, root, send};
use crate::{
    plan::{Kind, Target},
    protection::keys::LABEL,
};

/// The API server, for protected objects.
pub struct Protected {
    client: Client,
}

impl Protected {
    /// Asks and writes through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The metadata of all objects of a kind that carry the label. As the API server remembers them, which costs it little: what is
    /// done then is done to that version only.
    pub async fn list(&self, kind: Kind) -> Result<Vec<ObjectMeta>, Failure> {
        let request = Request::new(resources(&root(kind), "", kind.plural));
        let parameters = ListParams::default().labels(LABEL).match_any();
        let listed: ObjectList<PartialObjectMeta<DynamicObject>> = send(&self.client, request.list_metadata(&parameters)).await?;
        Ok(listed.items.into_iter().map(|object| object.metadata).collect())
    }

    /// Takes the label off, unless the object has changed since it had this version.
    pub async fn lift(&self, target: &Target, resource_version: &str) -> Result<(), Failure> {
        let body = json!({"metadata": {"resourceVersion": resource_version, "uid": target.uid, "labels": {LABEL: null}}});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = requests(target).patch_metadata(&target.name, &parameters, &Patch::Merge(&body));
        send::<Value>(&self.client, request).await.map(drop)
    }
}
