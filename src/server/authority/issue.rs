//! Makes CAs and signs certificates with them: the one place with keys and chance.

use std::{fmt, sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
    date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Certificate, Moment, Times, plan::Leaf};
use crate::server::certs::Pem;

/// Clocks that are behind by less than this believe what was signed just now.
const BACKDATED: i64 = 86_400;

/// A CA that was made.
pub struct Made {
    /// Its own certificate.
    pub certificate: Certificate,
    /// Its key, as PEM.
    pub key: String,
}

/// A CA that can sign.
#[derive(Clone)]
pub struct Signer {
    issuer: Arc<Issuer<'static, KeyPair>>,
    certificate: Certificate,
    /// Between it and the root, as PEM, itself first; empty for a root.
    between: String,
}

impl fmt::Debug for Signer {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.certificate).finish()
    }
}

/// A new CA, valid from now on for as long as [`Times`] says.
pub fn authority(times: &Times, now: Moment) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate()?;
    // Each has a name of its own: who reads a bundle sees which is which, and so does who verifies.
    let mut params = params(Vec::new(), &format!("outrigger-authority-{now}"), now, now.saturating_add(times.ca))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let signed = params.self_signed(&key)?;
    let certificate = Certificate::parse(signed.der()).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
    Ok(Made { certificate, key: key.serialize_pem() })
}

fn params(names: Vec<String>, title: &str, begin: Moment, end: Moment) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, title);
    // As much earlier as may be, but so that two thirds of a short life are still two thirds of it.
    let backdated = BACKDATED.min(end.saturating_sub(begin) / 10);
    let at = |moment: Moment| date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment).unwrap_or_default());
    params.not_before = at(begin.saturating_sub(backdated));
    params.not_after = at(end);
    Ok(params)
}

impl Signer {
    /// The first certificate of `chain` with its key; further ones of the chain lie between it and a root. An error in words if they do
    /// not fit, or may not sign.
    pub fn load(chain: &[Certificate], key: &[u8]) -> Result<Self, String> {
        let certificate = chain.first().ok_or("expected the certificate of a CA, found none")?.clone();
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("expected PEM with a private key: {error}"))?;
        let pair = KeyPair::try_from(&der).map_err(|error| format!("the private key cannot be used: {error}"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate.der).map_err(|error| error.to_string())?;
        if parsed.public_key().raw != pair.subject_public_key_info() {
            return Err("the private key is not that of the certificate".to_owned());
        }
        if !parsed.is_ca() {
            return Err("expected the certificate of a CA, found one that is none (basicConstraints)".to_owned());
        }
        if let Ok(Some(usage)) = parsed.key_usage()
            && !usage.value.key_cert_sign()
        {
            return Err("expected a CA that may sign certificates, found one that may not (keyUsage)".to_owned());
        }
        let is_root = parsed.subject().as_raw() == parsed.issuer().as_raw();
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(&*certificate.der), pair)
            .map_err(|error| format!("the certificate of the CA cannot be used: {error}"))?;
        let between = if is_root { String::new() } else { super::to_pem(chain) };
        Ok(Self { issuer: Arc::new(issuer), certificate, between })
    }

    /// The CA's own certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs a certificate for these names, DNS names or addresses, with a new key. It ends before the CA does.
    pub fn leaf(&self, names: &[String], times: &Times, now: Moment) -> Result<(Leaf, Pem), String> {
        let ends = now.saturating_add(times.leaf).min(self.certificate.ends);
        let (pem, der) = self.sign(names, now, ends).map_err(|error| format!("a certificate cannot be signed: {error}"))?;
        let subject = |der: &[u8], is_issuer| {
            let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
            Ok::<_, String>(if is_issuer { parsed.issuer().as_raw().to_vec() } else { parsed.subject().as_raw().to_vec() })
        };
        if subject(&der, true)? != subject(&self.certificate.der, false)? {
            return Err("the CA has a subject that cannot be written as it was: nothing that it signs would be believed".to_owned());
        }
        Ok((Leaf { by: self.certificate.clone(), issued: now, ends }, pem))
    }

    fn sign(&self, names: &[String], now: Moment, ends: Moment) -> Result<(Pem, Vec<u8>), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = params(names.to_vec(), "outrigger", now, ends)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &*self.issuer)?;
        let chain = (leaf.pem() + &self.between).into_bytes();
        Ok((Pem { chain, key: key.serialize_pem().into_bytes() }, leaf.der().to_vec()))
    }
}
