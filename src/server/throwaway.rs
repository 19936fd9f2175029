//! A throw-away CA for a server without a cluster: made at the first start, thrown away with the folder.
//!
//! The CA's own key is never written anywhere, so the CA cannot sign anything else.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::crypto::aws_lc_rs;

use super::certs::{Files, Pem};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ThrowawayError {
    /// The folder cannot be written.
    #[error("{0}: {1}")]
    Write(PathBuf, io::Error),
    /// The certificate cannot be made.
    #[error("the throw-away certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// The pair in `folder` if it is good for another day, else a new one, left there as `tls.crt` and `tls.key`, with the CA as
/// `ca.crt`. `names` are what the certificate is valid for.
pub fn pair(folder: &Path, names: &[String], now: Timestamp) -> Result<Pem, ThrowawayError> {
    let files = Files { chain: folder.join("tls.crt"), key: folder.join("tls.key") };
    if let Ok(pem) = files.read() {
        let tomorrow = now.as_second().saturating_add(86_400);
        // A start that was ended between two files leaves a key beside another one's certificate.
        let fits = pem.check(&aws_lc_rs::default_provider()).is_ok();
        if fits && pem.expiry().is_ok_and(|expiry| expiry > tomorrow) && folder.join("ca.crt").exists() {
            return Ok(pem);
        }
    }
    let (ca, pem) = make(names, now)?;
    fs::create_dir_all(folder).map_err(|error| ThrowawayError::Write(folder.to_owned(), error))?;
    for (path, text) in [(files.key, &pem.key), (files.chain, &pem.chain), (folder.join("ca.crt"), &ca)] {
        write(&path, text).map_err(|error| ThrowawayError::Write(path, error))?;
    }
    Ok(pem)
}

fn make(names: &[String], now: Timestamp) -> Result<(Vec<u8>, Pem), rcgen::Error> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    let until = today.saturating_add(1.year());
    let params = |names: Vec<String>, title: &str| {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, title);
        params.not_before = day(today.saturating_sub(1.day()));
        params.not_after = day(until);
        Ok::<_, rcgen::Error>(params)
    };
    let ca_key = KeyPair::generate()?;
    let mut ca = params(Vec::new(), "outrigger throw-away CA")?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let mut leaf = params(names.to_vec(), "outrigger")?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;
    Ok((ca_pem.into_bytes(), Pem { chain: leaf.pem().into_bytes(), key: key.serialize_pem().into_bytes() }))
}

/// Writes a file that only its owner can read, in one step, so that no other start reads half of it.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(text)?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_kept_until_its_last_day() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let start = Timestamp::from_second(1_763_795_520).unwrap();
        let first = pair(folder.path(), &names, start).unwrap();
        assert!(pair(folder.path(), &names, start + 300.hours()).unwrap() == first);
        let last = Timestamp::from_second(first.expiry().unwrap() - 3_600).unwrap();
        let second = pair(folder.path(), &names, last).unwrap();
        assert!(second != first);
        assert!(second.expiry().unwrap() > first.expiry().unwrap());
    }

    #[test]
    fn garbage_in_the_folder_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tls.crt"), "no").unwrap();
        fs::write(folder.path().join("tls.key"), "no").unwrap();
        let now = Timestamp::from_second(1_763_795_520).unwrap();
        assert!(pair(folder.path(), &["localhost".to_owned()], now).unwrap().expiry().is_ok());
    }
}
