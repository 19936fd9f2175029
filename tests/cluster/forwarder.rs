//! One address in front of several servers: connections go to them in turn, also to one that is down, until somebody takes it out.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Ends when dropped.
pub(crate) struct Forwarder {
    pub(crate) port: u16,
    ports: Arc<Mutex<Vec<u16>>>,
    stop: CancellationToken,
}

impl Forwarder {
    /// Forwards to these ports on loopback.
    pub(crate) async fn start(ports: Vec<u16>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr().context("no port")?.port();
        let ports = Arc::new(Mutex::new(ports));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(stop.clone().run_until_cancelled_owned(forward(listener, Arc::clone(&ports), tasks.clone())));
        Ok(Self { port, ports, stop })
    }

    /// From now on connections go to these.
    pub(crate) fn point_to(&self, ports: Vec<u16>) {
        *self.ports.lock() = ports;
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn forward(listener: TcpListener, ports: Arc<Mutex<Vec<u16>>>, tasks: TaskTracker) {
    let mut number = 0;
    while let Ok((mut client, _)) = listener.accept().await {
        let Some(port) = ports.lock().iter().cycle().nth(number).copied() else { continue };
        number = (number + 1) % 6;
        tasks.spawn(async move {
            // Where nobody listens, the client finds its connection closed.
            if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
