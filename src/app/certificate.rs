//! Where the serving certificate comes from.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use kube::Client;
use tokio::sync::Notify;

use super::{Running, now};
use crate::{
    args::Serve,
    base::installation::DEFINITIONS,
    cluster::{
        bundles::{Bundles, Callees},
        secret::OneSecret,
        wake,
    },
    controllers::certificates::SelfManaged,
    server::{
        authority::Times,
        certs::{Files, Follow, Pem, Serving},
        throwaway,
    },
};

/// How often certificate files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);

impl Running {
    /// The serving certificate: from files, kept by the server itself in a cluster, or made for a server without one. `cluster` is a client
    /// that sends each request once.
    pub(super) fn certificate(&self, arguments: &Serve, cluster: Option<Client>) -> anyhow::Result<Arc<Serving>> {
        if let (Some(chain), Some(key)) = (&arguments.tls_cert_file, &arguments.tls_key_file) {
            return self.follow_files(Files { chain: chain.clone(), key: key.clone() });
        }
        if let Some(client) = cluster {
            return self.self_managed(arguments, client);
        }
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let pem = throwaway::pair(&arguments.certs, &names, now())?;
        tracing::info!(ca = %arguments.certs.join("ca.crt").display(), "a throw-away certificate is served");
        self.serve(&pem)
    }

    fn serve(&self, pem: &Pem) -> anyhow::Result<Arc<Serving>> {
        Ok(Serving::new(pem, &self.provider, &self.metrics)?)
    }

    fn follow_files(&self, files: Files) -> anyhow::Result<Arc<Serving>> {
        let loaded = files.read()?;
        let serving = self.serve(&loaded).with_context(|| files.chain.display().to_string())?;
        let follow = Follow {
            files,
            loaded,
            every: CERTIFICATE_EVERY,
            serving: serving.clone(),
            provider: self.provider.clone(),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
        };
        self.tasks.spawn(follow.run(self.stop.clone()));
        Ok(serving)
    }

    /// Serves nothing until the CA is there: whoever waits for it hears why on `/readyz`.
    fn self_managed(&self, arguments: &Serve, client: Client) -> anyhow::Result<Arc<Serving>> {
        let (authority, namespace) = (&arguments.authority, arguments.common.namespace.clone());
        let callees = Callees {
            namespace: namespace.clone(),
            services: [authority.webhook_service.clone(), authority.conversion_service.clone()],
            hosts: authority.tls_names.clone(),
        };
        let secret = OneSecret { client: client.clone(), namespace: namespace.clone(), name: authority.authority_secret.clone() };
        // Who only watches converts nothing.
        let definitions: &[_] = if arguments.shadow { &[] } else { &DEFINITIONS };
        let bundles = Bundles { client, configuration: authority.webhook_configuration.clone(), callees, definitions };
        let (bell, serving) = (Arc::new(Notify::new()), Arc::new(Serving::default()));
        let managed = SelfManaged {
            secret: secret.clone(),
            bundles: bundles.clone(),
            bell: bell.clone(),
            serving: serving.clone(),
            names: authority.names(&namespace),
            times: Times::new(authority.ca_validity, authority.leaf_validity, authority.ca_settle)?,
            provider: self.provider.clone(),
            wall: Arc::new(now),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
        };
        managed.expect();
        self.tasks.spawn(managed.run(self.leadership.subscribe(), self.stop.clone()));
        self.tasks.spawn(wake::wake(secret, bundles, bell, self.metrics.watches.clone(), self.stop.clone()));
        Ok(serving)
    }
}
