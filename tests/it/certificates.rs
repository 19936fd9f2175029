//! The serving certificate over its life: swapped as a Secret is, broken, mended, of an authority below another.

use std::{
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use outrigger::{
    server::{
        admin::Readiness,
        certs::{Files, Follow, Pem, Serving},
    },
    telemetry::metrics::Metrics,
};
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::world::{
    binary::{self, folder, outrigger, run},
    client::{BOTH, Client, Protocol, review},
    ends,
    pki::{Authority, leaf, provider},
    server::{ADMIT, Server, patient, start_with},
    until,
};

/// A mounted Secret: `tls.crt` and `tls.key` point into `..data`, which points to the folder of the day.
struct Secret {
    mount: TempDir,
    swaps: AtomicU64,
}

impl Secret {
    fn new(pem: &Pem) -> Self {
        let secret = Self { mount: tempfile::tempdir().unwrap(), swaps: AtomicU64::new(0) };
        secret.swap(&pem.chain, &pem.key);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), secret.path(name)).unwrap();
        }
        secret
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.mount.path().join(name)
    }

    /// Puts other files there as the kubelet does: beside the old ones, then one rename, then away with the old.
    fn swap(&self, chain: &[u8], key: &[u8]) {
        let number = self.swaps.fetch_add(1, Ordering::Relaxed);
        let name = format!("..day_{number}");
        std::fs::create_dir(self.path(&name)).unwrap();
        std::fs::write(self.path(&name).join("tls.crt"), chain).unwrap();
        std::fs::write(self.path(&name).join("tls.key"), key).unwrap();
        symlink(&name, self.path("..data_tmp")).unwrap();
        std::fs::rename(self.path("..data_tmp"), self.path("..data")).unwrap();
        if let Some(before) = number.checked_sub(1) {
            std::fs::remove_dir_all(self.path(&format!("..day_{before}"))).unwrap();
        }
    }

    /// A server that follows it closely.
    async fn serve(&self, trust: ClientConfig) -> Server {
        let files = Files { chain: self.path("tls.crt"), key: self.path("tls.key") };
        let (loaded, metrics) = (files.read().unwrap(), Arc::new(Metrics::new()));
        let serving = Serving::new(&loaded, &provider(), &metrics).unwrap();
        let server = start_with(patient(), trust, serving, metrics).await;
        let every = Duration::from_millis(5);
        let (serving, metrics) = (Arc::clone(&server.serving), Arc::clone(&server.metrics));
        let readiness = Readiness::default();
        let follow = Follow { files, loaded, every, serving, provider: provider(), metrics, readiness };
        TaskTracker::new().spawn(follow.run(server.stop.clone()));
        server
    }
}

/// Waits until new connections are shown this certificate.
async fn served(server: &Server, pem: &Pem) {
    until("the new certificate is served", async || (server.client(Protocol::Http2).await.certificate == leaf(pem)).then_some(())).await;
}

/// Waits for so many complaints about files.
async fn complained(server: &Server, times: u64) {
    until("the broken pair is counted", async || (server.metrics.certificate_errors.get() >= times).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_swapped_under_load_without_one_failure() {
    let authority = Authority::new();
    let secret = Secret::new(&authority.issue());
    let server = Arc::new(secret.serve(authority.trust()).await);
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = TaskTracker::new();
    let mut workers = Vec::new();
    for protocol in BOTH {
        let (server, done, answered) = (Arc::clone(&server), Arc::clone(&done), Arc::clone(&answered));
        workers.push(load.spawn(async move {
            // One connection lives through all swaps, and a new one is made for each review.
            let mut lasting = server.client(protocol).await;
            while !done.load(Ordering::Relaxed) {
                lasting.post(ADMIT, review("lasting")).await.assert_admits("lasting");
                server.client(protocol).await.post(ADMIT, review("new")).await.assert_admits("new");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..8 {
        let (pem, before) = (authority.issue(), answered.load(Ordering::Relaxed));
        secret.swap(&pem.chain, &pem.key);
        served(&server, &pem).await;
        until("reviews between two swaps", async || (answered.load(Ordering::Relaxed) > before + 4).then_some(())).await;
    }
    done.store(true, Ordering::Relaxed);
    for worker in workers {
        // A worker panics at the first handshake or review that fails.
        ends("the load", worker).await.unwrap();
    }
}

#[tokio::test]
async fn a_broken_pair_is_counted_and_the_old_one_stays_until_a_good_one_comes() {
    let authority = Authority::new();
    let first = authority.issue();
    let secret = Secret::new(&first);
    let server = secret.serve(authority.trust()).await;
    let (one, other) = (authority.issue(), authority.issue());
    let half = one.chain.len() / 2;
    let broken: [(&[u8], &[u8]); 6] = [
        (b"garbage", b"garbage"),
        (b"", b""),
        (&one.chain[..half], &one.key),
        (&one.chain, b"garbage"),
        (&one.chain, &one.chain),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &one.key),
    ];
    let mut good = first;
    for (chain, key) in broken.into_iter().chain([(&one.chain[..], &other.key[..])]) {
        let before = server.metrics.certificate_errors.get();
        secret.swap(chain, key);
        complained(&server, before + 1).await;
        assert_eq!(server.client(Protocol::Http1).await.certificate, leaf(&good));
        good = authority.issue();
        secret.swap(&good.chain, &good.key);
        served(&server, &good).await;
    }
    let before = server.metrics.certificate_errors.get();
    std::fs::remove_file(secret.path("..data")).unwrap();
    complained(&server, before + 1).await;
    server.assert_serves().await;
    assert_eq!(server.metric("outrigger_certificate_errors_total"), server.metrics.certificate_errors.get());
    assert_eq!(server.metric("outrigger_certificate_expiry_seconds"), u64::try_from(good.expiry().unwrap()).unwrap());
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_no_pair() {
    let authority = Authority::new();
    let mixed = Pem { chain: authority.issue().chain, key: authority.issue().key };
    let error = Serving::new(&mixed, &provider(), &Metrics::new()).unwrap_err().to_string();
    assert!(error.starts_with("the key does not fit: "), "{error}");
}

#[tokio::test]
async fn a_chain_with_an_intermediate_is_sent_whole() {
    let root = Authority::new();
    let direct = root.issue();
    let secret = Secret::new(&direct);
    let server = secret.serve(root.trust()).await;
    server.assert_serves().await;
    let chained = root.intermediate().intermediate().issue();
    secret.swap(&chained.chain, &chained.key);
    served(&server, &chained).await;
    server.assert_serves().await;
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_is_not_served() {
    let secret = Secret::new(&Authority::new().issue());
    let stranger = Authority::new();
    let server = secret.serve(stranger.trust()).await;
    assert!(Client::try_connect(server.address, &stranger.trust(), "localhost", Protocol::Http2).await.is_err());
}

#[tokio::test]
async fn a_client_that_trusts_the_throw_away_authority_reaches_localhost_by_name_and_address() {
    let from = folder([]);
    let serving = binary::Serving::folder(from.path());
    for name in ["localhost", "127.0.0.1", "::1"] {
        for protocol in BOTH {
            let mut client = Client::try_connect(serving.reviews, &serving.trust(), name, protocol).await.unwrap();
            client.post("/mutate-pod", review("trusted")).await.assert_admits("trusted");
        }
    }
    assert!(Client::try_connect(serving.reviews, &serving.trust(), "example.com", Protocol::Http2).await.is_err());
}

#[tokio::test]
async fn a_throw_away_folder_is_used_again_and_made_anew_when_its_key_is_of_another() {
    let (from, certs) = (folder([]), tempfile::tempdir().unwrap());
    let start = || {
        let own = tempfile::tempdir().unwrap();
        let mut command = outrigger();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--from"]).arg(from.path());
        command.arg("--certs").arg(certs.path());
        binary::Serving::spawn(&mut command, certs.path().to_owned(), own)
    };
    let file = |name: &str| certs.path().join(name);
    drop(start());
    let authority = std::fs::read(file("ca.crt")).unwrap();
    drop(start());
    assert_eq!(std::fs::read(file("ca.crt")).unwrap(), authority);

    // As a start leaves it that was killed between two files.
    std::fs::write(file("tls.key"), Authority::new().issue().key).unwrap();
    let serving = start();
    let mut client = Client::connect(serving.reviews, &serving.trust(), Protocol::Http2).await;
    client.post("/mutate-pod", review("anew")).await.assert_admits("anew");
}

#[test]
fn a_start_with_files_that_are_no_pair_says_so() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(), authority.issue());
    let from = folder([]);
    for (chain, key, why) in [
        (&one.chain[..], &other.key[..], "tls.crt: the key does not fit: "),
        (b"garbage", &one.key[..], "tls.crt: expected PEM with a certificate: "),
        (&one.chain[..], b"garbage", "tls.crt: expected PEM with a private key: "),
    ] {
        let pair = tempfile::tempdir().unwrap();
        let (crt, pem) = (pair.path().join("tls.crt"), pair.path().join("tls.key"));
        std::fs::write(&crt, chain).unwrap();
        std::fs::write(&pem, key).unwrap();
        let mut command = outrigger();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--from"]).arg(from.path());
        let found = run(command.arg("--tls-cert-file").arg(&crt).arg("--tls-key-file").arg(&pem), "");
        assert!(!found.ok && found.err.contains(why), "expected {why}\nfound {}", found.err);
    }
}
