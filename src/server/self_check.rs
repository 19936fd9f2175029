//! One review of our own to our own port, over TLS, as the API server would send it: only then is the server ready.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{admin::Readiness, certs::Serving};

/// Name under which readiness speaks of this.
pub const CONDITION: &str = "webhook";

/// A question to our own port.
pub struct SelfCheck {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Which hook is asked.
    pub path: &'static str,
    /// The certificate that has to be served.
    pub serving: Arc<Serving>,
    /// The cryptography to speak to it with.
    pub provider: Arc<CryptoProvider>,
    /// Who is told.
    pub readiness: Readiness,
}

impl SelfCheck {
    /// Asks until the answer is right, then reports that the webhook answers.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let asked = timeout(Duration::from_secs(5), ask(self.address, self.path, &self.serving, &self.provider)).await;
            let result = asked.unwrap_or_else(|_| Err("no answer within 5 s".to_owned()));
            let done = result.is_ok();
            self.readiness.report(CONDITION, result.map_err(|why| format!("{} at {}: {why}", self.path, self.address)));
            if done || timeout(Duration::from_millis(500), stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }
}

async fn ask(address: SocketAddr, path: &str, serving: &Serving, provider: &Arc<CryptoProvider>) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let leaf = serving.leaf().ok_or("no certificate")?;
    let versions = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions().map_err(|e| say(&e))?;
    let verifier = Arc::new(OnlyThis { leaf, provider: Arc::clone(provider) });
    let config = versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let socket = TcpStream::connect(reachable(address)).await.map_err(|e| say(&e))?;
    let name = ServerName::try_from("localhost").map_err(|e| say(&e))?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(|e| say(&e))?;
    let body = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"self-check","operation":"CONNECT"}}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(|e| say(&e))?;
    let mut answer = Vec::new();
    // The end may come without a closing alert; the text tells.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.1 200") && answer.contains(r#""uid":"self-check","allowed":true"#) {
        Ok(())
    } else {
        Err(format!("unexpected answer: {}", answer.lines().next().unwrap_or_default()))
    }
}

/// Where to reach a server that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port())),
        other => other,
    }
}

/// Trusts exactly the certificate that is served, whoever signed it and whatever its names are.
#[derive(Debug)]
struct OnlyThis {
    leaf: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        found: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *found == self.leaf {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate is served".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
