//! Certificates for tests: authorities, authorities below them, and what they sign.

use std::{path::Path, sync::Arc};

use outrigger::server::certs::Pem;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Something that signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: CertificateDer<'static>,
    /// The certificates between this one and the root, in PEM, this one first; empty for a root.
    between: String,
}

impl Authority {
    /// A root.
    pub(crate) fn new() -> Self {
        let (params, key) = (params("root"), KeyPair::generate().unwrap());
        let own = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), own, between: String::new() }
    }

    /// One that this one vouches for.
    pub(crate) fn intermediate(&self) -> Self {
        let (params, key) = (params("intermediate"), KeyPair::generate().unwrap());
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let between = signed.pem() + &self.between;
        Self { issuer: Issuer::new(params, key), own: signed.der().clone(), between }
    }

    /// A certificate for `localhost`, with the chain up to, and without, the root.
    pub(crate) fn issue(&self) -> Pem {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        Pem { chain: (leaf.pem() + &self.between).into_bytes(), key: key.serialize_pem().into_bytes() }
    }

    /// A client that trusts this one.
    pub(crate) fn trust(&self) -> ClientConfig {
        trusting(std::slice::from_ref(&self.own))
    }
}

/// A client that trusts the certificates in a file.
pub(crate) fn trusting_file(path: &Path) -> ClientConfig {
    let text = std::fs::read(path).unwrap();
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&text).collect::<Result<_, _>>().unwrap();
    trusting(&roots)
}

/// The server's own certificate in a chain.
pub(crate) fn leaf(pem: &Pem) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem.chain).unwrap()
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn trusting(roots: &[CertificateDer<'static>]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let mut config = versions.with_root_certificates(store).with_no_client_auth();
    // A handshake that goes on from an earlier one shows the earlier one's certificate.
    config.resumption = Resumption::disabled();
    config
}

fn params(title: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, title);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
