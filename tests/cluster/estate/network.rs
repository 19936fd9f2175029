//! The network of an estate: what a service of the cluster leads to, and a line to the API server that can be cut.
//!
//! The API server of an estate dials services through a proxy (its egress selector), as one does whose nodes it cannot reach
//! itself. It names a service by its cluster address; the proxy follows the `EndpointSlice`s, as kube-proxy does, to the address of a pod,
//! and the kubelet knows on which port of loopback the pod's container listens.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::control_plane::{ControlPlane, NETWORK};

/// Where each container port of each pod really is: pod address and port → port on loopback.
pub(crate) type Sockets = Arc<Mutex<BTreeMap<(String, i32), u16>>>;

/// What the services of a cluster lead to.
#[derive(Clone)]
struct Services {
    client: Client,
    sockets: Sockets,
}

/// A proxy for connections to services. Ends when dropped.
pub(crate) struct Network {
    pub(crate) sockets: Sockets,
    services: Services,
    stop: CancellationToken,
}

impl Network {
    /// For the API server of this control plane.
    pub(crate) fn open(plane: &ControlPlane) -> Result<Self> {
        let path = plane.folder.join(NETWORK);
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        let (sockets, stop, tasks) = (Sockets::default(), CancellationToken::new(), TaskTracker::new());
        let services = Services { client: plane.client(), sockets: Arc::clone(&sockets) };
        let network = Self { sockets, services: services.clone(), stop };
        let accepting = {
            let tasks = tasks.clone();
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let services = services.clone();
                    tasks.spawn(async move {
                        // The API server learns of it by the end of the connection.
                        let _ = connect(socket, &services).await;
                    });
                }
            }
        };
        tasks.spawn(network.stop.clone().run_until_cancelled_owned(accepting));
        Ok(network)
    }

    /// A port on loopback from which connections go to a port of a service, each to one of its endpoints.
    pub(crate) async fn entrance(&self, namespace: &str, service: &str, port: i32) -> Result<u16> {
        let service = Api::<Service>::namespaced(self.services.client.clone(), namespace).get(service).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("a service without an address")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let entrance = listener.local_addr()?.port();
        let (services, tasks) = (self.services.clone(), TaskTracker::new());
        let accepting = {
            let tasks = tasks.clone();
            async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let (services, address) = (services.clone(), address.clone());
                    tasks.spawn(async move {
                        // Where nobody answers, the client finds its connection closed.
                        let mut server = services.reach(&address, port).await?;
                        anyhow::Ok(copy_bidirectional(&mut socket, &mut server).await?)
                    });
                }
            }
        };
        tasks.spawn(self.stop.clone().run_until_cancelled_owned(accepting));
        Ok(entrance)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn connect(socket: UnixStream, services: &Services) -> Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let target = line.split_whitespace().nth(1).context("no target")?.to_owned();
    while line.trim_end() != "" {
        line.clear();
        if socket.read_line(&mut line).await? == 0 {
            bail!("half a request");
        }
    }
    let (address, port) = target.rsplit_once(':').context("no port")?;
    let Ok(mut server) = services.reach(address, port.parse()?).await else {
        // As kube-proxy rejects what has no endpoint.
        socket.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await?;
        return Ok(());
    };
    socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut socket, &mut server).await?;
    Ok(())
}

impl Services {
    async fn reach(&self, address: &str, port: i32) -> Result<TcpStream> {
        let services = Api::<Service>::all(self.client.clone()).list(&ListParams::default()).await?;
        let has_address = |service: &Service| service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some(address);
        let service = services.items.into_iter().find(has_address).context("no such service")?;
        let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        let name = ports.find(|entry| entry.port == port).map(|entry| entry.name.clone()).context("no such port")?;
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), &service.namespace().unwrap_or_default());
        let selected = ListParams::default().labels(&format!("kubernetes.io/service-name={}", service.name_any()));
        let mut ends: Vec<u16> = Vec::new();
        for slice in slices.list(&selected).await? {
            let number = slice.ports.iter().flatten().find(|entry| entry.name == name).and_then(|entry| entry.port).context("no port")?;
            let is_ready = |end: &&Endpoint| end.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false);
            let ready = slice.endpoints.iter().flatten().filter(is_ready).flat_map(|end| &end.addresses);
            let sockets = self.sockets.lock();
            ends.extend(ready.filter_map(|address| sockets.get(&(address.clone(), number)).copied()));
        }
        fastrand::shuffle(&mut ends);
        let end = ends.first().context("no endpoint")?;
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, *end)).await?)
    }
}

/// A line from loopback to a port on loopback. When it is cut, nothing is closed and nothing arrives, as with a broken network.
pub(crate) struct Line {
    pub(crate) port: u16,
    is_whole: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Line {
    pub(crate) async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (is_whole, seen) = watch::channel(true);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let accepting = {
            let tasks = tasks.clone();
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tasks.spawn(carry(socket, server, seen.clone()));
                }
            }
        };
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self { port, is_whole, stop })
    }

    /// From now on nothing arrives, on old connections and on new ones.
    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// What was held up arrives.
    pub(crate) fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn carry(socket: TcpStream, server: u16, mut is_whole: watch::Receiver<bool>) -> Result<()> {
    is_whole.wait_for(|whole| *whole).await?;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    let ((mut up, mut to_client), (mut down, mut to_server)) = (socket.into_split(), server.into_split());
    let back = is_whole.clone();
    tokio::try_join!(pump(&mut up, &mut to_server, is_whole), pump(&mut down, &mut to_client, back)).map(drop)
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut is_whole: watch::Receiver<bool>,
) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer).await?;
        is_whole.wait_for(|whole| *whole).await?;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}
