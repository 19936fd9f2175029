use std::net::SocketAddr;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, time_provider::TimeProvider};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::*;
use crate::{
    server::{
        authority::{Times, issue},
        certs::{Pem, Serving},
    },
    telemetry::metrics::Metrics,
};

/// Longer than any test waits, where it is not about the limit.
const LONG: Duration = Duration::from_mins(1);

const NOW: i64 = 1_763_795_520;

/// The clock of clients.
#[derive(Debug)]
struct Then;

impl TimeProvider for Then {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW.unsigned_abs())))
    }
}

/// A server without a certificate.
struct Server {
    address: SocketAddr,
    serving: Arc<Serving>,
    metrics: Metrics,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(handshake: Duration) -> Self {
        let (serving, metrics, stop) = (Arc::new(Serving::default()), Metrics::new(), CancellationToken::new());
        let tls = serving.acceptor(&Arc::new(aws_lc_rs::default_provider())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door { tls, router: Router::new(), counted: metrics.connections.clone(), leaving: stop.clone() };
        let limits = Limits { handshake, drain: LONG, ..Limits::default() };
        let served = TaskTracker::new().spawn(serve(listener, door, limits, stop.clone()));
        Self { address, serving, metrics, stop, served }
    }

    /// Shakes hands with it, and says whether that has come to something.
    fn shake(&self, ca: &[u8]) -> JoinHandle<bool> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.to_vec().into()).unwrap();
        let versions = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(Then));
        let config = versions.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
        let address = self.address;
        TaskTracker::new().spawn(async move {
            let socket = TcpStream::connect(address).await.unwrap();
            TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await.is_ok()
        })
    }

    /// Until so many connections are open.
    async fn has_open(&self, connections: i64) {
        let open = async {
            while self.metrics.connections.open.get() != connections {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, open).await.unwrap();
    }
}

/// A CA in DER, and a pair that it has signed.
fn pair() -> (Vec<u8>, Pem) {
    let times = Times { ca: 100_000, leaf: 10_000, settle: 60 };
    let made = issue::authority(&times, NOW).unwrap();
    let signer = issue::Signer::load(std::slice::from_ref(&made.certificate), made.key.as_bytes()).unwrap();
    (made.certificate.der.to_vec(), signer.leaf(&["127.0.0.1".to_owned()], &times, NOW).unwrap().1)
}

#[tokio::test]
async fn who_comes_before_the_certificate_waits_for_it() {
    let (ca, pem) = pair();
    let server = Server::start(LONG).await;
    let mut early = [server.shake(&ca), server.shake(&ca)];
    server.has_open(2).await;
    for shaken in &mut early {
        assert!(timeout(Duration::from_millis(50), shaken).await.is_err(), "it did not wait");
    }
    server.serving.replace(&pem, &aws_lc_rs::default_provider(), &server.metrics).unwrap();
    for shaken in early {
        assert!(timeout(LONG, shaken).await.unwrap().unwrap());
    }
    assert_eq!(server.metrics.connections.handshakes_failed.get(), 0);
    assert!(timeout(LONG, server.shake(&ca)).await.unwrap().unwrap());
}

#[tokio::test]
async fn nobody_waits_for_a_certificate_longer_than_a_handshake_may_take() {
    let (ca, _) = pair();
    let (limit, begun) = (Duration::from_millis(50), std::time::Instant::now());
    let server = Server::start(limit).await;
    assert!(!timeout(LONG, server.shake(&ca)).await.unwrap().unwrap());
    assert!(begun.elapsed() >= limit, "it did not wait");
    assert_eq!(server.metrics.connections.handshakes_failed.get(), 1);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_certificate() {
    let (ca, _) = pair();
    let server = Server::start(LONG).await;
    let early = server.shake(&ca);
    server.has_open(1).await;
    server.stop.cancel();
    // The limits that it could wait for are longer than this.
    timeout(LONG / 2, server.served).await.unwrap().unwrap();
    assert!(!early.await.unwrap());
}
