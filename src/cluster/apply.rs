//! Carries out what plans want: the only place that writes to the API server for the reconcilers.
//!
//! What the API server answers goes into the picture at once, so that the next plan sees what this one did, however far the
//! watch is behind.

use std::time::Duration;

use kube::{
    Client,
    api::{DeleteParams, DynamicObject, GetParams, ListParams, Patch as Body, PatchParams, PostParams, Preconditions},
    core::{ObjectList, Request},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    lease::Term,
    watch::{Feed, WatchedPod},
};
use crate::{
    base::selector::Selector,
    budget::index::Budget,
    plan::{Action, Form, Kind, Patch, Target},
    sidecarset::revision::Revision,
    spread::index::Spread,
    state::pods::Observed,
};

/// The name under which the API server notes our changes.
pub(super) const MANAGER: &str = "outrigger";
/// How long an answer is waited for: less than what lies between the renew deadline of a lease and its end, so that the last
/// request of a term is over before another leads.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many pods are listed at a time.
pub(super) const PAGE: u32 = 500;

/// Why a request did not do what it should.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The object has changed since the plan was made, or is gone, or is there already. A new plan will know.
    #[error("{0}")]
    Outdated(String),
    /// The API server does not want it.
    #[error("{0}")]
    Refused(String),
    /// The API server says that the object may not become that.
    #[error("{0}")]
    Invalid(String),
    /// The API server has no time for it. Nothing was done.
    #[error("{0}")]
    Busy(String),
    /// Nobody knows whether it was done.
    #[error("{0}")]
    Unknown(String),
}

/// The API server, for plans.
#[derive(Clone)]
pub struct Apply {
    pub(super) client: Client,
    pub(super) feed: Feed,
}

impl Apply {
    /// Writes through this client, and into this picture.
    pub fn new(client: Client, feed: Feed) -> Self {
        Self { client, feed }
    }

    /// Does it. Nothing is written that would not begin in this term.
    pub async fn carry_out(&self, action: &Action, term: &Term) -> Result<(), Failure> {
        match action {
            Action::Create { target, body } => self.create(target, body).await,
            Action::Patch(patch) => self.patch(patch).await,
            Action::Compose { target, resource_version, body } => {
                let request = requests(target).get_metadata(&target.name, &GetParams::default());
                let live: kube::core::PartialObjectMeta<DynamicObject> = self.send(request).await?;
                if live.metadata.resource_version.as_ref() != Some(resource_version) {
                    return Err(Failure::Outdated("it has changed since the plan was made".to_owned()));
                }
                // Each request may take as long as lies between two leaders; two of them may not.
                if !term.is_current() {
                    return Err(Failure::Outdated("the term has ended".to_owned()));
                }
                let body = (body.0)(&live.metadata.annotations.unwrap_or_default()).map_err(Failure::Refused)?;
                self.patch(&Patch { target: target.clone(), sub_resource: "", form: Form::Strategic, body }).await
            }
            Action::Delete { target, resource_version } => {
                let version = Some(resource_version.clone()).filter(|version| !version.is_empty());
                let preconditions = Preconditions { resource_version: version, uid: None };
                let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                let request = requests(target).delete(&target.name, &parameters);
                self.send::<Value>(request).await?;
                if target.kind == Kind::CONTROLLER_REVISION {
                    self.feed.change(|state| state.delete_revision(&target.name));
                }
                Ok(())
            }
        }
    }

    async fn create(&self, target: &Target, body: &Value) -> Result<(), Failure> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = requests(target).create(&parameters, body.to_string().into_bytes());
        match self.send::<Value>(request).await {
            Ok(created) => self.take_in(target, created),
            Err(Failure::Outdated(text)) => {
                // Somebody else has the name: the next plan is made with that in view.
                let present = self.send(requests(target).get(&target.name, &GetParams::default())).await?;
                self.take_in(target, present)?;
                Err(Failure::Outdated(text))
            }
            Err(other) => Err(other),
        }
    }

    async fn patch(&self, patch: &Patch) -> Result<(), Failure> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let (requests, name) = (requests(&patch.target), &patch.target.name);
        let send = |body: &Body<&Value>| match patch.sub_resource {
            "" => requests.patch(name, &parameters, body),
            sub_resource => requests.patch_subresource(sub_resource, name, &parameters, body),
        };
        let request = match patch.form {
            Form::Merge => send(&Body::Merge(&patch.body)),
            Form::Strategic => send(&Body::Strategic(&patch.body)),
        };
        if patch.target.kind == Kind::POD {
            let answered: WatchedPod = self.send(request).await?;
            self.assume(&answered);
            return Ok(());
        }
        let answered = self.send(request).await?;
        self.take_in(&patch.target, answered)
    }

    /// Lists pods as they are at this moment, not as the watch has told so far, and takes them in.
    pub async fn look_again(&self, selector: &Selector) -> Result<(), Failure> {
        let selector: Vec<_> = selector.requirements().iter().map(ToString::to_string).collect();
        let mut parameters = ListParams::default().labels(&selector.join(",")).limit(PAGE);
        loop {
            let request = Request::new(path(Kind::POD, "")).list(&parameters);
            let listed: ObjectList<WatchedPod> = self.send(request).await?;
            for pod in &listed.items {
                self.assume(pod);
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    fn assume(&self, pod: &WatchedPod) {
        let pod = Observed::read(&pod.0, &mut self.feed.interner.lock());
        self.feed.change(|state| state.observe_answer(pod));
    }

    /// Other kinds than pods.
    fn take_in(&self, target: &Target, object: Value) -> Result<(), Failure> {
        let unreadable = |error: String| Failure::Unknown(format!("the answer is no {}: {error}", target.kind.kind));
        match target.kind {
            Kind::CONTROLLER_REVISION => {
                let revision = Revision::from_object(&object).map_err(|error| unreadable(error.to_string()))?;
                self.feed.change(|state| state.assume_revision(revision));
            }
            Kind::SIDECAR_SET => {
                let set = serde_path_to_error::deserialize(object).map_err(|error| unreadable(error.to_string()))?;
                // One that cannot be used was so before, and is counted there.
                self.feed.change(|state| drop(state.assume_set(set)));
            }
            Kind::BUDGET => {
                let budget = serde_path_to_error::deserialize(object).map_err(|error| unreadable(error.to_string()))?;
                self.feed.change(|state| state.assume_budget(Budget::compile(budget)));
            }
            Kind::SPREAD => {
                let spread = serde_path_to_error::deserialize(object).map_err(|error| unreadable(error.to_string()))?;
                self.feed.change(|state| state.assume_spread(Spread::compile(spread)));
            }
            _ => {}
        }
        Ok(())
    }

    async fn send<T: DeserializeOwned>(&self, request: Prepared) -> Result<T, Failure> {
        send(&self.client, request).await
    }
}

/// A request, or why there is none.
pub(super) type Prepared = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

/// Sends a request, and waits for its answer no longer than [`PATIENCE`].
pub(super) async fn send<T: DeserializeOwned>(client: &Client, request: Prepared) -> Result<T, Failure> {
    let request = request.map_err(|error| Failure::Refused(error.to_string()))?;
    in_time(client.request(request)).await
}

/// The same for what nobody may see: the client library writes an answer that it cannot read to the log, and errors quote from it.
pub(super) async fn send_secretly<T: DeserializeOwned>(client: &Client, request: Prepared) -> Result<T, Failure> {
    let request = request.map_err(|error| Failure::Refused(error.to_string()))?;
    let text = in_time(client.request_text(request)).await?;
    serde_json::from_str(&text).map_err(|error| {
        let (line, column, category) = (error.line(), error.column(), error.classify());
        Failure::Unknown(format!("the answer cannot be read: wrong at line {line}, column {column} ({category:?})"))
    })
}

async fn in_time<T>(answered: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(answered) => answered.map_err(failure),
        Err(_) => Err(Failure::Unknown(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

fn failure(error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => match status.code {
            404 | 409 | 410 => Failure::Outdated(status.message.clone()),
            422 => Failure::Invalid(status.message.clone()),
            429 | 503 => Failure::Busy(status.message.clone()),
            500.. | 408 => Failure::Unknown(status.message.clone()),
            _ => Failure::Refused(status.message.clone()),
        },
        other => Failure::Unknown(other.to_string()),
    }
}

pub(super) fn requests(target: &Target) -> Request {
    Request::new(path(target.kind, &target.namespace))
}

pub(super) fn path(kind: Kind, namespace: &str) -> String {
    resources(&root(kind), namespace, kind.plural)
}

/// Where the objects of a resource are, in a namespace or everywhere.
pub(super) fn resources(root: &str, namespace: &str, plural: &str) -> String {
    if namespace.is_empty() { format!("{root}/{plural}") } else { format!("{root}/namespaces/{namespace}/{plural}") }
}

/// Where the resources of a kind's group and version are.
pub(super) fn root(kind: Kind) -> String {
    group_root(kind.group, kind.version)
}

/// Where the resources of a group and version are.
pub(super) fn group_root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}
