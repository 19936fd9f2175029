//! The pods of a namespace as they are at this moment, however far the watch is behind.

use jiff::Timestamp;
use kube::{
    api::ListParams,
    core::{ObjectList, Request},
};

use super::{
    apply::{Apply, Failure, PAGE, path, send},
    watch::WatchedPod,
};
use crate::{plan::Kind, spread::pod::Pod};

/// How often a list is made again that says nothing, since all pods were listed anew meanwhile.
const TIMES: usize = 3;

impl Apply {
    /// Lists the pods of a namespace, and takes in those that the watch has yet to tell of. `at` is a moment before that.
    pub async fn look_at_namespace(&self, namespace: &str, at: Timestamp) -> Result<(), Failure> {
        for _ in 0..TIMES {
            let listing = self.feed.change(|state| state.begin_listing(namespace));
            let pods = match self.pods_of(namespace).await {
                Ok(pods) => pods,
                Err(failure) => {
                    self.feed.change(|state| state.give_up_listing(listing));
                    return Err(failure);
                }
            };
            if self.feed.change(|state| state.end_listing(listing, pods, at)) {
                return Ok(());
            }
        }
        Err(Failure::Busy("the watch of pods began anew again and again".to_owned()))
    }

    async fn pods_of(&self, namespace: &str) -> Result<Vec<Pod>, Failure> {
        let mut parameters = ListParams::default().limit(PAGE);
        let mut pods = Vec::new();
        loop {
            let listed: ObjectList<WatchedPod> = send(&self.client, Request::new(path(Kind::POD, namespace)).list(&parameters)).await?;
            let mut interner = self.feed.interner.lock();
            pods.extend(listed.items.iter().map(|pod| Pod::read(&pod.0, &mut interner)));
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(pods),
            }
        }
    }
}
