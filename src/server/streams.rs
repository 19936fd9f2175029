//! The requests of a connection run on the connection's own task: none is handed from task to task, and small answers that
//! are ready together leave in one write (`h2` writes and flushes a body of 256 bytes or more by itself). A connection has
//! one core then, which decides some ten thousand reviews a second.

use std::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, Stream as _, stream::FuturesUnordered};
use hyper::rt::Executor;
use parking_lot::Mutex;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a connection puts the requests that it has read.
#[derive(Clone, Default)]
pub struct Begun(Arc<Mutex<Vec<Boxed>>>);

/// The requests of one connection that are not answered yet.
#[derive(Default)]
pub struct Streams {
    begun: Begun,
    running: FuturesUnordered<Boxed>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, request: F) {
        // As on a task of its own: a request that panics is reset, and the others of its connection go on.
        self.0.lock().push(Box::pin(AssertUnwindSafe(request).catch_unwind().map(drop)));
    }
}

impl Streams {
    /// What the connection is built with.
    pub fn executor(&self) -> Begun {
        self.begun.clone()
    }

    /// Drives `connection` and its requests until it ends. May be left and begun again.
    pub async fn drive<C: Future>(&mut self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|context| {
            loop {
                if let Poll::Ready(output) = connection.as_mut().poll(context) {
                    return Poll::Ready(output);
                }
                if !self.advance(context) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Goes on with all requests. Says whether any was answered, so that the connection has something to write.
    fn advance(&mut self, context: &mut Context<'_>) -> bool {
        self.running.extend(self.begun.0.lock().drain(..));
        let before = self.running.len();
        while let Poll::Ready(Some(())) = Pin::new(&mut self.running).poll_next(context) {}
        self.running.len() < before
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test]
    async fn a_request_that_waits_or_panics_holds_up_no_other() {
        let mut streams = Streams::default();
        let (release, released) = oneshot::channel();
        let (first, mut answers) = mpsc::unbounded_channel();
        let second = first.clone();
        streams.executor().execute(async { panic!("this request alone is lost") });
        streams.executor().execute(async move {
            let _ = released.await;
            let _ = first.send("first");
        });
        streams.executor().execute(async move {
            let _ = second.send("second");
            let _ = release.send(());
        });
        let connection = pin!(async { [answers.recv().await, answers.recv().await] });
        assert_eq!(streams.drive(connection).await, [Some("second"), Some("first")]);
    }
}
