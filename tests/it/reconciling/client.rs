//! The client of the reconcilers, over a real socket.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Config, api::PostParams};
use outrigger::cluster::client::{Repeats, client};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn what_reconcilers_ask_is_sent_once_however_busy_the_api_server_is() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let busy = Router::new().fallback(move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            status
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = TaskTracker::new().spawn(async move { axum::serve(listener, busy).await });
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let pods = Api::<Pod>::namespaced(client(config, Repeats::Caller).unwrap(), "shop");
        pods.create(&PostParams::default(), &Pod::default()).await.unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{status}");
        serving.abort();
    }
}
