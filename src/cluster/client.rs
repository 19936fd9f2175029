//! A client with our name, from a kubeconfig or from inside a cluster.

use std::time::Duration;

use kube::{Client, Config, client::ClientBuilder};

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
