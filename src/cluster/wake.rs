//! Watches that tell nothing but that something has changed: for what is rarely looked at, and then asked for.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::{GroupVersionKind, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event, watcher},
    },
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    bundles::{Bundles, Carrier},
    secret::OneSecret,
    watch::Pauses,
};
use crate::telemetry::metrics::WatchMetrics;

/// What may not be watched is tried again after a second, then after two, and so on up to this. Rights that are given with the rest of
/// an installation come a moment later; whoever never gets them also looks from time to time.
const LONGEST: Duration = Duration::from_mins(1);

/// One object that is watched.
struct Watched {
    /// All objects of its kind.
    every: Api<PartialObjectMeta<DynamicObject>>,
    /// The plural of its kind.
    plural: String,
    name: String,
}

/// Rings whenever one of these objects changes, until `stop`. Only their metadata comes over the wire. Interruptions are counted in
/// `watches`, under the name by which it is noted there what each watch hears.
pub async fn wake(secret: OneSecret, bundles: Bundles, bell: Arc<Notify>, watches: WatchMetrics, stop: CancellationToken) {
    let kind = ApiResource::erase::<Secret>(&());
    let every_secret = Api::namespaced_with(secret.client, &secret.namespace, &kind);
    let secret = Watched { every: every_secret, plural: kind.plural, name: secret.name };
    let carriers = bundles.carriers().into_iter().map(|carrier| {
        let plural = carrier.kind.names().2.to_owned();
        Watched { every: every(&bundles, &carrier), plural, name: carrier.name }
    });
    join_all(std::iter::once(secret).chain(carriers).map(|object| follow(object, &bell, &watches, &stop))).await;
}

/// All objects of a carrier's kind.
fn every(bundles: &Bundles, carrier: &Carrier) -> Api<PartialObjectMeta<DynamicObject>> {
    let (api_version, kind, plural) = carrier.kind.names();
    let (group, version) = api_version.split_once('/').unwrap_or_default();
    let kind = GroupVersionKind::gvk(group, version, kind);
    Api::all_with(bundles.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}

async fn follow(object: Watched, bell: &Notify, watches: &WatchMetrics, stop: &CancellationToken) {
    let Watched { every, plural, name } = object;
    let (only, resource) = (Config::default().fields(&format!("metadata.name={name}")), format!("{plural}/{name}"));
    let mut events = watcher(every, only).backoff(Pauses::default()).take_until(stop.cancelled()).boxed();
    let mut pause = Duration::from_secs(1);
    while let Some(event) = events.next().await {
        match event {
            // A new list begins, also where it will be refused.
            Ok(Event::Init) => {}
            Ok(_) => {
                bell.notify_one();
                pause = Duration::from_secs(1);
            }
            Err(error) => {
                watches.restarted(&resource);
                tracing::warn!(kind = resource, %error, "the watch was interrupted");
                if is_refused(&error) {
                    drop(timeout(pause, stop.cancelled()).await);
                    pause = LONGEST.min(pause * 2);
                }
            }
        }
    }
}

fn is_refused(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchStartFailed};
    let code = match error {
        WatchStartFailed(kube::Error::Api(status)) | InitialListFailed(kube::Error::Api(status)) | WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 401 | 403 | 404)
}

#[cfg(test)]
mod tests;
