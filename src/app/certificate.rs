//! Where the serving certificate comes from.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};

use super::{Running, now};
use crate::{
    args::Serve,
    server::{
        certs::{Files, Follow, Pem, Serving},
        throwaway,
    },
};

/// How often certificate files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(10);

impl Running {
    /// The serving certificate: from files, or made for a server without a cluster.
    pub(super) fn certificate(&self, arguments: &Serve) -> anyhow::Result<Arc<Serving>> {
        let serve = |pem: &Pem| Serving::new(pem, &self.provider, &self.metrics);
        if let (Some(chain), Some(key)) = (&arguments.tls_cert_file, &arguments.tls_key_file) {
            let files = Files { chain: chain.clone(), key: key.clone() };
            let loaded = files.read()?;
            let serving = serve(&loaded).with_context(|| chain.display().to_string())?;
            let follow = Follow {
                files,
                loaded,
                every: CERTIFICATE_EVERY,
                serving: serving.clone(),
                provider: self.provider.clone(),
                metrics: self.metrics.clone(),
            };
            self.tasks.spawn(follow.run(self.stop.clone()));
            return Ok(serving);
        }
        if arguments.from.is_none() {
            bail!("in a cluster a certificate is needed: --tls-cert-file and --tls-key-file");
        }
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let pem = throwaway::pair(&arguments.certs, &names, now())?;
        tracing::info!(ca = %arguments.certs.join("ca.crt").display(), "a throw-away certificate is served");
        Ok(serve(&pem)?)
    }
}
