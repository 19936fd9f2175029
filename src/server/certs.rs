//! The serving certificate: loaded from files, looked at again every few seconds, replaced without a failed handshake.
//!
//! Files are compared by their bytes, not watched: a mounted Secret changes by swapping a symbolic link, which file
//! watches miss. A pair that does not load leaves the old one in place.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::admin::Readiness;
use crate::telemetry::metrics::Metrics;

/// A certificate chain and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The chain, the server's own certificate first.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// Where a pair lies.
#[derive(Clone, Debug)]
pub struct Files {
    /// The chain.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// No certificate or no key in the text.
    #[error("expected PEM with a {0}: {1}")]
    Pem(&'static str, rustls_pki_types::pem::Error),
    /// The first certificate is none.
    #[error("the certificate cannot be parsed: {0}")]
    Parse(String),
    /// A key of an unknown kind, or of another certificate.
    #[error("the key does not fit: {0}")]
    Key(#[from] rustls::Error),
}

/// The certificate in use. While there is none, handshakes wait for it.
#[derive(Debug, Default)]
pub struct Serving(watch::Sender<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

/// Shakes hands with the certificate in use.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    serving: Arc<Serving>,
}

impl Acceptor {
    /// Waits until there is a certificate. A server that keeps its own has none at first, and is called all the same: conversions go to
    /// replicas that are not ready, too.
    pub async fn ready(&self) {
        // Only who is dropped tells nothing more.
        drop(self.serving.0.subscribe().wait_for(Option::is_some).await);
    }

    /// Shakes hands; fails at once while there is no certificate.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: S) -> std::io::Result<TlsStream<S>> {
        self.tls.accept(socket).await
    }
}

impl Files {
    /// Reads both.
    pub fn read(&self) -> Result<Pem, CertificateError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| CertificateError::Read(path.clone(), error));
        Ok(Pem { chain: read(&self.chain)?, key: read(&self.key)? })
    }
}

impl Pem {
    fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let chain = chain.map_err(|error| CertificateError::Pem("certificate", error))?;
        if chain.is_empty() {
            return Err(CertificateError::Pem("certificate", rustls_pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| CertificateError::Pem("private key", error))?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }

    /// Whether the key is that of the certificate, and both can be served.
    pub fn check(&self, provider: &CryptoProvider) -> Result<(), CertificateError> {
        self.certified(provider).map(drop)
    }

    /// When the certificate ends, in seconds since 1970.
    pub fn expiry(&self) -> Result<i64, CertificateError> {
        let first = CertificateDer::from_pem_slice(&self.chain).map_err(|error| CertificateError::Pem("certificate", error))?;
        let (_, certificate) = X509Certificate::from_der(&first).map_err(|error| CertificateError::Parse(error.to_string()))?;
        Ok(certificate.validity().not_after.timestamp())
    }
}

impl Serving {
    /// Serves this pair.
    pub fn new(pem: &Pem, provider: &CryptoProvider, metrics: &Metrics) -> Result<Arc<Self>, CertificateError> {
        let serving = Self::default();
        serving.replace(pem, provider, metrics)?;
        Ok(Arc::new(serving))
    }

    /// The server's own certificate, in DER.
    pub fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.0.borrow().as_ref()?.cert.first().cloned()
    }

    /// An acceptor for TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub fn acceptor(self: &Arc<Self>, provider: &Arc<CryptoProvider>) -> Result<Acceptor, CertificateError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), serving: Arc::clone(self) })
    }

    /// Serves this pair from the next handshake on. One that cannot be served changes nothing.
    pub fn replace(&self, pem: &Pem, provider: &CryptoProvider, metrics: &Metrics) -> Result<(), CertificateError> {
        let (certified, expiry) = (pem.certified(provider)?, pem.expiry()?);
        self.0.send_replace(Some(Arc::new(certified)));
        metrics.certificate_expiry.set(expiry);
        Ok(())
    }
}

/// Looks at the files again and again until `stop`.
pub struct Follow {
    /// Where the pair lies.
    pub files: Files,
    /// What was loaded first.
    pub loaded: Pem,
    /// How long between two looks.
    pub every: Duration,
    /// What is served.
    pub serving: Arc<Serving>,
    /// Whose keys it may use.
    pub provider: Arc<CryptoProvider>,
    /// Where failures are counted.
    pub metrics: Arc<Metrics>,
    /// Where what is wrong with the files is told, while the old pair is served.
    pub readiness: Readiness,
}

/// Under which topic readiness warns of files that cannot be used.
const WARNING: &str = "certificate files";

impl Follow {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut complained_of = None;
        while tokio::time::timeout(self.every, stop.cancelled()).await.is_err() {
            let found = self.files.read();
            if found.as_ref().is_ok_and(|pem| *pem == self.loaded) {
                self.tell(&mut complained_of, None);
                continue;
            }
            match found.and_then(|pem| self.serving.replace(&pem, &self.provider, &self.metrics).map(|()| pem)) {
                Ok(pem) => {
                    tracing::info!(chain = %self.files.chain.display(), "the serving certificate was replaced");
                    self.loaded = pem;
                    self.tell(&mut complained_of, None);
                }
                Err(error) => self.tell(&mut complained_of, Some(error.to_string())),
            }
        }
    }

    /// Says once that the files cannot be used, and why; and that they can again.
    fn tell(&self, complained_of: &mut Option<String>, complaint: Option<String>) {
        if *complained_of == complaint {
            return;
        }
        self.metrics.certificate_unusable.set(complaint.is_some().into());
        self.readiness.warn(WARNING, complaint.as_ref().map(|why| format!("{why}; the certificate that was loaded before is served")));
        if let Some(error) = &complaint {
            self.metrics.certificate_errors.inc();
            tracing::error!(error, chain = %self.files.chain.display(), "the new certificate cannot be used; the old one stays");
        }
        *complained_of = complaint;
    }
}
