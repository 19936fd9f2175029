//! A certificate authority that all replicas share, without anybody who runs one.
//!
//! ```text
//! Secret ─ contents::read ─→ Held ─┐
//!                                  ├→ plan::next → a Step   → contents → the Secret again, by compare-and-swap
//! what the hooks carry ────────────┤
//!                                  └→ plan::renews           → issue::Signer::leaf → what this replica serves
//! ```
//!
//! Everything here but [`issue`] is pure: what the Secret holds, what the API server was told to trust and the time are arguments. The
//! Secret holds the CA, never a certificate that is served: each replica signs its own, in memory.
//!
//! # How one CA follows another
//!
//! 1. At two thirds of its life the leader lays the next CA beside it. The hooks are told to trust both; the old one signs on.
//! 2. When all hooks carry both, that is noted with the time; a while later every API server has heard of it. Then the next one signs.
//! 3. The old one is trusted until the last certificate that it can have signed has ended.
//!
//! So whatever a replica serves was signed by a CA that the API servers knew before, and know as long as it can be served; whoever is
//! late, or is killed between two steps, is late only.

pub mod contents;
pub mod issue;
pub mod plan;

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A moment, in seconds since 1970.
pub type Moment = i64;

/// How long a line of PEM is.
const LINE: usize = 64;

/// How long things last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A CA of ours.
    pub ca: i64,
    /// A certificate that is served.
    pub leaf: i64,
    /// From the moment when all hooks carry a CA to the moment when every API server has heard of it.
    pub settle: i64,
}

/// Times that do not go together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimesError {
    /// Shorter than a second, or longer than a thousand years.
    #[error("--{0}: expected between 1s and 1000 years")]
    Length(&'static str),
    /// A certificate would outlive the CA that is to be exchanged meanwhile.
    #[error("--leaf-validity: expected at most a third of --ca-validity")]
    Leaf,
    /// The last third of a CA's life has to be long enough to exchange it.
    #[error("--ca-settle: expected at most a twelfth of --ca-validity")]
    Settle,
}

impl Times {
    /// Whole seconds; what is less than a second of any of them is left out.
    pub fn new(ca: Duration, leaf: Duration, settle: Duration) -> Result<Self, TimesError> {
        let seconds = |name, duration: Duration| match i64::try_from(duration.as_secs()) {
            Ok(seconds @ 1..=31_557_600_000) => Ok(seconds),
            _ => Err(TimesError::Length(name)),
        };
        let times = Self { ca: seconds("ca-validity", ca)?, leaf: seconds("leaf-validity", leaf)?, settle: seconds("ca-settle", settle)? };
        if times.leaf.saturating_mul(3) > times.ca {
            return Err(TimesError::Leaf);
        }
        if times.settle.saturating_mul(12) > times.ca {
            return Err(TimesError::Settle);
        }
        Ok(times)
    }

    /// How long after the exchange of a CA nothing can be served any more that the old one has signed: a certificate lives so long, and
    /// clocks differ.
    pub(crate) fn farewell(&self) -> i64 {
        self.leaf.saturating_add(self.settle.max(self.leaf / 10))
    }
}

/// A certificate that others are verified by. Clones are cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As it is signed.
    pub der: Arc<[u8]>,
    /// Not valid before.
    pub begins: Moment,
    /// Not valid after.
    pub ends: Moment,
}

impl fmt::Debug for Certificate {
    /// Bytes help nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes, {}..{})", self.der.len(), self.begins, self.ends)
    }
}

impl Certificate {
    /// From DER; an error in words if it is none.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| format!("expected a certificate: {error}"))?;
        let validity = parsed.validity();
        Ok(Self { der: der.into(), begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() })
    }

    /// As text.
    pub fn to_pem(&self) -> String {
        let encoded = BASE64_STANDARD.encode(&self.der);
        let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
        let mut rest = encoded.as_str();
        while let Some((line, after)) = rest.split_at_checked(LINE) {
            text.extend([line, "\n"]);
            rest = after;
        }
        if !rest.is_empty() {
            text.extend([rest, "\n"]);
        }
        text + "-----END CERTIFICATE-----\n"
    }
}

/// All certificates of a PEM text, each once; an error in words if one of them is none, or if there is no certificate at all.
pub fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let mut found: Vec<Certificate> = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|error| format!("expected PEM with certificates: {error}"))?;
        let certificate = Certificate::parse(&der)?;
        if !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err("expected PEM with certificates, found none".to_owned()) } else { Ok(found) }
}

/// A bundle as PEM.
pub fn to_pem(bundle: &[Certificate]) -> String {
    bundle.iter().map(Certificate::to_pem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_reads_as_it_was_written_and_says_nothing_twice() {
        let times = Times { ca: 1000, leaf: 100, settle: 10 };
        let [one, other] = [0, 5].map(|now| issue::authority(&times, now).unwrap().certificate);
        let text = to_pem(&[one.clone(), other.clone(), one.clone()]);
        assert!(text.lines().all(|line| line.len() <= LINE));
        assert_eq!(certificates(text.as_bytes()), Ok(vec![one, other]));
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        for garbage in ["", "Cg==", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n"] {
            let why = certificates(garbage.as_bytes()).unwrap_err();
            assert!(why.starts_with("expected "), "{why}");
        }
    }

    #[test]
    fn times_that_do_not_go_together_are_refused_by_the_flag_that_is_wrong() {
        let seconds = Duration::from_secs;
        assert_eq!(Times::new(seconds(120), seconds(40), seconds(10)), Ok(Times { ca: 120, leaf: 40, settle: 10 }));
        assert_eq!(Times::new(seconds(120), seconds(41), seconds(10)), Err(TimesError::Leaf));
        assert_eq!(Times::new(seconds(120), seconds(40), seconds(11)), Err(TimesError::Settle));
        assert_eq!(Times::new(seconds(120), seconds(40), Duration::from_millis(999)), Err(TimesError::Length("ca-settle")));
        assert_eq!(Times::new(Duration::MAX, seconds(40), seconds(1)), Err(TimesError::Length("ca-validity")));
    }
}
