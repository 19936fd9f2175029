//! Keys, certificates, tokens and ports for one run of the tests. Nothing of it is ever used again.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, anyhow};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

/// A certificate authority and one certificate, all in PEM.
pub(crate) struct Identity {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn for_loopback(name: &str) -> Result<Self> {
        Self::for_hosts(name, &["127.0.0.1", "localhost"])
    }

    pub(crate) fn for_hosts(name: &str, hosts: &[&str]) -> Result<Self> {
        Authority::new(name)?.sign(name, hosts, true)
    }
}

/// A certificate authority that can sign more than one certificate.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        root.distinguished_name.push(DnType::CommonName, format!("{name} test authority"));
        let key = KeyPair::generate()?;
        Ok(Self { pem: root.self_signed(&key)?.pem(), issuer: Issuer::new(root, key) })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these hosts that is good for long, or that ended long ago.
    pub(crate) fn sign(&self, name: &str, hosts: &[&str], is_good: bool) -> Result<Identity> {
        let mut leaf = CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>())?;
        leaf.distinguished_name.push(DnType::CommonName, name);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if !is_good {
            leaf.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { authority: self.pem.clone(), certificate, key: key.serialize_pem() })
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn token() -> Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random()?)))
}

/// Eight characters that make a name unique.
pub(crate) fn suffix() -> Result<String> {
    Ok(format!("{:08x}", u32::from_be_bytes(random()?)))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    source.fill(&mut bytes).map_err(|_| anyhow!("no random numbers"))?;
    Ok(bytes)
}

/// A port on loopback that is free now and was not given out before.
///
/// It lies below the range from which the kernel takes ports for outgoing connections: a server that is down for a moment would
/// lose such a port to any client, even to one that is waiting for that server.
pub(crate) fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1000 {
        let port = 15_000 + u16::from_be_bytes(random()?) % 17_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && GIVEN.lock().insert(port) {
            return Ok(port);
        }
    }
    Err(anyhow!("no free port on loopback"))
}

/// An ECDSA key for the tokens of service accounts: (private, public).
pub(crate) fn signing_key() -> Result<(String, String)> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("a key for service accounts")?;
    let (private, public) = (key.serialize_pem(), key.public_key_pem());
    Ok((private, public))
}
