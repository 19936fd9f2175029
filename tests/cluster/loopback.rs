//! Servers on loopback that the API server calls, and how their failures are told.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::keys::Identity;
use crate::outrigger::Outrigger;
use crate::support::{Cluster, deployment};
use crate::webhooks::Endpoint;

pub(crate) const CONFIGURATION: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: stand-in}
webhooks:
- name: pods.outrigger.test
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {service: {name: stand-in, namespace: default, path: /mark}}
  namespaceSelector: {matchExpressions: [{key: left-out, operator: DoesNotExist}]}
  rules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
";

pub(crate) async fn a_webhook_on_loopback_is_called_for_its_sandbox_only(cluster: Arc<Cluster>) -> Result<()> {
    let sandbox = cluster.sandbox("webhook").await?;
    let left_out = sandbox.neighbour("left-out", &[("left-out", "")]).await?;
    let stranger = cluster.sandbox("stranger").await?;
    let (listener, endpoint) = TlsListener::bind().await?;
    let served = async { axum::serve(listener, Router::new().route("/mark", post(mark))).await };
    let test = async {
        sandbox.install_webhooks(CONFIGURATION, &endpoint).await?;
        for (place, expected) in [(&sandbox, true), (&left_out, false), (&stranger, false)] {
            place.create(&deployment("web").replicas(2).build()).await?;
            let pods = place.ready_pods("app=web", 2).await?;
            let marked = |pod: &Pod| pod.labels().contains_key("marked");
            ensure!(pods.iter().all(|pod| marked(pod) == expected), "in {} marked should be {expected}: {pods:?}", place.namespace);
        }
        Ok(())
    };
    tokio::select! {
        ended = served => bail!("the server ended: {ended:?}"),
        tested = test => tested,
    }
}

pub(crate) async fn a_server_that_cannot_start_is_reported_with_its_log(cluster: Arc<Cluster>) -> Result<()> {
    let started = Outrigger::start(&cluster, "default", &["--no-such-flag"]).await;
    let error = started.err().context("it started with a flag that does not exist")?;
    let error = format!("{error:#}");
    ensure!(error.contains("ended (") && error.contains("the end of the log of outrigger"), "{error}");
    Ok(())
}

/// Answers each review with one more label.
pub(crate) async fn mark(body: Bytes) -> Result<String, StatusCode> {
    let review: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let uid = review.pointer("/request/uid").ok_or(StatusCode::BAD_REQUEST)?;
    let patch = json!([{"op": "add", "path": "/metadata/labels/marked", "value": "yes"}]);
    let response = json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": BASE64_STANDARD.encode(patch.to_string())});
    Ok(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}).to_string())
}

/// TLS with a certificate of the harness, as the server of this package gets one.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl TlsListener {
    pub(crate) async fn bind() -> Result<(Self, Endpoint)> {
        let identity = Identity::for_loopback("stand-in")?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = Endpoint { port: tcp.local_addr()?.port(), authority_pem: identity.authority };
        Ok((Self { tcp, tls: Arc::new(config).into() }, endpoint))
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((connection, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.tls.accept(connection).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
