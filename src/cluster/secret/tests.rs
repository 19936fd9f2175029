use std::{convert::Infallible, io, sync::Arc};

use kube::client::Body;
use parking_lot::Mutex;
use tracing::instrument::WithSubscriber;

use super::*;

/// What is in the Secret, and nobody may see.
const PRIVATE: &str = "MHcCAQEEIBnotForAnybody";

/// Log lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that is logged meanwhile.
async fn logged<T>(asked: impl Future<Output = T>) -> (T, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let found = asked.with_subscriber(subscriber.with_writer(move || writer.clone()).finish()).await;
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    (found, text)
}

fn answering(body: &str) -> OneSecret {
    let body = body.to_owned();
    let service = tower::service_fn(move |_: http::Request<Body>| {
        let body = Body::from(body.clone().into_bytes());
        async move { Ok::<_, Infallible>(http::Response::new(body)) }
    });
    OneSecret { client: Client::new(service, "own"), namespace: "own".to_owned(), name: "outrigger-authority".to_owned() }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_shown_to_nobody() {
    for body in [
        format!(r#"{{"kind": "Secret", "data": {{"ca.key": "{PRIVATE}!"}}}}"#),
        format!(r#"{{"kind": "Secret", "data": "{PRIVATE}"}}"#),
        format!(r#"{{"kind": "Secret", "data": {{"ca.key": "{PRIVATE}"#),
        format!(r#""{PRIVATE}""#),
    ] {
        let secret = answering(&body);
        let request = Request::new(secret.path()).get(&secret.name, &GetParams::default()).unwrap();
        let (_, usually) = logged(secret.client.request::<Secret>(request)).await;
        assert!(usually.contains(PRIVATE), "the client library has changed: {usually}");
        let (read, text) = logged(secret.read()).await;
        let why = read.map(drop).unwrap_err().to_string();
        assert!(why.starts_with("the answer cannot be read: wrong at line 1, column ") && !why.contains(PRIVATE), "{why}");
        let (written, more) = logged(secret.write(None, &BTreeMap::new(), BTreeMap::new())).await;
        assert!(!written.unwrap_err().to_string().contains(PRIVATE));
        assert!(!text.contains(PRIVATE) && !more.contains(PRIVATE), "{text}{more}");
    }
}

#[tokio::test]
async fn what_can_be_read_is_read_byte_by_byte() {
    let secret = answering(r#"{"data": {"ca.key": "AAH/"}, "metadata": {"annotations": {"a": "b"}}}"#);
    let read = secret.read().await.unwrap().unwrap();
    assert_eq!(read.data(), [("ca.key".to_owned(), vec![0, 1, 255])].into());
    assert_eq!(read.annotations(), [("a".to_owned(), "b".to_owned())].into());
}
