//! A client with our name, from a kubeconfig or from inside a cluster.

use std::time::Duration;

use http::{Method, Request};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::BoxError;

pub use super::heard::Heard;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account was found.
    #[error("no cluster: neither a kubeconfig (KUBECONFIG or ~/.kube/config) nor a service account of a pod can be used: {0}")]
    Configuration(#[from] kube::config::InferConfigError),
    /// The configuration does not make a client.
    #[error("the cluster's configuration cannot be used: {0}")]
    Client(#[from] kube::Error),
}

/// Who sends a request again that the API server has no time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// The client, until whoever asked waits no longer.
    Client,
    /// Whoever asked. Each request is sent once, so that he knows what became of it: what a client sends again after an answer that
    /// was lost is refused as outdated, although it was done.
    Caller,
}

/// The cluster that the environment names.
pub async fn find() -> Result<Config, ClientError> {
    Ok(Config::infer().await?)
}

/// A client for a cluster.
pub fn client(config: Config, repeats: Repeats) -> Result<Client, ClientError> {
    Ok(ClientBuilder::try_from(named(config, repeats))?.build())
}

/// A client for a cluster, of which it is noted when its watches hear something.
pub fn heard(config: Config, repeats: Repeats, heard: &Heard) -> Result<Client, ClientError> {
    Ok(ClientBuilder::try_from(named(config, repeats))?.with_layer(heard).build())
}

fn named(mut config: Config, repeats: Repeats) -> Config {
    config.connect_timeout = Some(Duration::from_secs(5));
    config.default_retry = repeats == Repeats::Client;
    let agent = http::HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    config
}

/// The same cluster through a client that reads, and sends nothing else.
pub fn reading(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let read = move |request: Request<Body>| {
        let client = client.clone();
        async move {
            if request.method() == Method::GET {
                return client.send(request).await.map_err(BoxError::from);
            }
            Err(format!("nothing is written here: {} {} was not sent", request.method(), request.uri().path()).into())
        }
    };
    Client::new(tower::service_fn(read), namespace)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use k8s_openapi::api::core::v1::Pod;
    use kube::{
        Api,
        api::{DeleteParams, Patch, PatchParams, PostParams},
    };
    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_reads_sends_no_write() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&sent);
        let server = tower::service_fn(move |request: Request<Body>| {
            log.lock().push(request.method().clone());
            let pod = br#"{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}"#;
            async move { Ok::<_, Infallible>(http::Response::new(Body::from(pod.to_vec()))) }
        });
        let pods = Api::<Pod>::default_namespaced(reading(Client::new(server, "own")));
        assert_eq!(pods.get("a").await.unwrap().metadata.name.as_deref(), Some("a"));
        let pod = Pod::default();
        let refused = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await.unwrap_err();
        assert_eq!(refused.to_string(), "ServiceError: nothing is written here: POST /api/v1/namespaces/own/pods was not sent");
        assert!(pods.replace("a", &PostParams::default(), &pod).await.is_err());
        assert!(pods.patch("a", &PatchParams::default(), &Patch::Merge(&pod)).await.is_err());
        assert!(pods.delete("a", &DeleteParams::default()).await.is_err());
        assert_eq!(*sent.lock(), [Method::GET]);
    }
}
