//! A client with our name, from a kubeconfig or from inside a cluster.

use std::time::Duration;

use kube::{Client, Config};

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

/// A client for the cluster that the environment names.
pub async fn connect() -> Result<Client, ClientError> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(Duration::from_secs(5));
    let agent = http::HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
    Ok(Client::try_from(config)?)
}
