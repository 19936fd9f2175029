//! One Secret of our namespace: read by its name, written only in the version that was read.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Client,
    api::{GetParams, ObjectMeta, PostParams},
    core::Request,
};

use super::{
    apply::{Failure, resources, send_secretly},
    bundles::MANAGER,
};

/// One Secret.
#[derive(Clone)]
pub struct OneSecret {
    /// Speaks to the API server; each request is sent once.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A Secret as it was read. It is not printed.
#[derive(Clone)]
pub struct Version(Secret);

impl Version {
    /// Its members by name.
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.data.iter().flatten().map(|(name, value)| (name.clone(), value.0.clone())).collect()
    }

    /// Its annotations.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.0.metadata.annotations.clone().unwrap_or_default()
    }
}

impl OneSecret {
    fn path(&self) -> String {
        resources("/api/v1", &self.namespace, "secrets")
    }

    /// As it is at this moment; `None` if it does not exist.
    pub async fn read(&self) -> Result<Option<Version>, Failure> {
        match send_secretly(&self.client, Request::new(self.path()).get(&self.name, &GetParams::default())).await {
            Ok(secret) => Ok(Some(Version(secret))),
            Err(Failure::Outdated(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes members and annotations, if the Secret is still what was read: the version, or nothing. All else of it stays.
    pub async fn write(
        &self,
        read: Option<&Version>,
        data: &BTreeMap<String, Vec<u8>>,
        annotations: BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let mut secret = read.map_or_else(|| self.blank(), |version| version.0.clone());
        secret.data = Some(data.iter().map(|(name, value)| (name.clone(), ByteString(value.clone()))).collect());
        secret.metadata.annotations = Some(annotations);
        let body = serde_json::to_vec(&secret).map_err(|error| Failure::Refused(error.to_string()))?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let requests = Request::new(self.path());
        let request = if read.is_some() { requests.replace(&self.name, &parameters, body) } else { requests.create(&parameters, body) };
        send_secretly::<Secret>(&self.client, request).await.map(drop)
    }

    fn blank(&self) -> Secret {
        let labels = [("app.kubernetes.io/name".to_owned(), "outrigger".to_owned())].into();
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        Secret { metadata, type_: Some("Opaque".to_owned()), ..Secret::default() }
    }
}

#[cfg(test)]
mod tests;
