//! Puts the questions of handlers to the API server. Nothing is stored, and no answer in time is an answer too.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Error,
    api::{ApiResource, DynamicObject, GetParams, ListParams, PostParams},
    core::{Request, Status},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    apply::{Failure, group_root, resources},
    kinds::Kinds,
};
use crate::{
    admission::ask::{Answer, Cause, Listing, Question},
    base::workload::Owner,
};

/// A hook has 5 s to answer, and its own work and the way there and back take a part of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many objects are listed at a time where their metadata will do.
const PAGE: u32 = 500;
/// How many where it will not: they may have a hundred kilobytes each.
const PAGE_OF_CONTENT: u32 = 250;

/// Asks the API server of `client`; what has to be made to ask would be made in `namespace`, our own. Every question is answered
/// within three seconds, by [`Answer::Unknown`] if need be.
pub fn asked(client: Client, namespace: &str) -> Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync> {
    let kinds = Arc::new(Kinds::new(client.clone()));
    let pods = Api::<DynamicObject>::namespaced_with(client, namespace, &ApiResource::erase::<Pod>(&()));
    Arc::new(move |question| {
        // New pods wait for these: their hook has 3 s in all.
        let patience = if matches!(question, Question::Object { .. }) { PATIENCE / 3 } else { PATIENCE };
        within(patience, pods.clone(), Arc::clone(&kinds), question).boxed()
    })
}

async fn within(patience: Duration, pods: Api<DynamicObject>, kinds: Arc<Kinds>, question: Question) -> Answer {
    let answer = tokio::time::timeout(patience, answer(pods, &kinds, question)).await;
    answer.unwrap_or_else(|_| Answer::Unknown(format!("the API server did not answer within {} s", patience.as_secs_f32())))
}

async fn answer(pods: Api<DynamicObject>, kinds: &Kinds, question: Question) -> Answer {
    match question {
        Question::HowMany(listing) => match how_many(&pods.into_client(), &listing).await {
            Ok(answer) => answer,
            Err(Error::Api(status)) => Answer::Unknown(format!("the API server answers {}: {}", status.code, status.message)),
            Err(error) => Answer::Unknown(format!("the API server cannot be asked: {error}")),
        },
        Question::DryRunPod(pod) => match dry_run(&pods, pod).await {
            Ok(()) => Answer::Good,
            Err(Error::Api(status)) => of_status(*status),
            Err(error) => Answer::Unknown(format!("the API server cannot be asked: {error}")),
        },
        Question::Object { group, kind, namespace, name } => {
            let owner = Owner { group: group.into(), version: "".into(), kind: kind.into(), name: name.into(), uid: "".into() };
            of_kind(kinds, &namespace, &owner).await
        }
        Question::Pod { namespace, name } => found(&pods.into_client(), &namespace, &name).await,
    }
}

/// A pod as it is, in its own words.
async fn found(client: &Client, namespace: &str, name: &str) -> Answer {
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods")).get(name, &GetParams::default());
    let answered = match request {
        Ok(request) => client.request_text(request).await,
        Err(error) => return Answer::Unknown(format!("pod {namespace}/{name} cannot be asked for: {error}")),
    };
    match answered {
        Ok(text) => Answer::Found(text),
        Err(Error::Api(status)) if status.code == 404 => Answer::Absent,
        Err(Error::Api(status)) => Answer::Unknown(format!("the API server answers {}: {}", status.code, status.message)),
        Err(error) => Answer::Unknown(format!("the API server cannot be asked: {error}")),
    }
}

/// An object of any kind, in a version that is served.
async fn of_kind(kinds: &Kinds, namespace: &str, owner: &Owner) -> Answer {
    match kinds.object(namespace, owner).await {
        Ok(Some(object)) => Answer::Found(object.to_string()),
        Ok(None) => Answer::Absent,
        Err(Failure::Refused(problem)) => {
            Answer::Unknown(format!("the API server does not show {} {:?}: {problem}", owner.kind, owner.name))
        }
        Err(failure) => Answer::Unknown(format!("the API server cannot be asked for {} {:?}: {failure}", owner.kind, owner.name)),
    }
}

/// A page of a list, its objects unread.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(default)]
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    continue_: Option<String>,
}

/// Counts as the listing says, as of this moment.
async fn how_many(client: &Client, listing: &Listing) -> Result<Answer, Error> {
    let mut parameters = parameters(listing);
    let request = Request::new(resources(&group_root(&listing.group, &listing.version), &listing.namespace, &listing.plural));
    loop {
        let list = if listing.count.is_of_content { request.list(&parameters) } else { request.list_metadata(&parameters) };
        let page: Page = client.request(list.map_err(Error::BuildRequest)?).await?;
        let mut count = 0;
        for item in page.items.unwrap_or_default() {
            let object: Value = serde_json::from_str(item.get()).map_err(Error::SerdeError)?;
            count += listing.count.of(&object);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if count == 0 => parameters = parameters.continue_token(&token),
            rest => return Ok(Answer::Counted { count, is_all: rest.is_none() }),
        }
    }
}

fn parameters(listing: &Listing) -> ListParams {
    let labels: Vec<_> = listing.labels.requirements().iter().map(ToString::to_string).collect();
    let fields: Vec<_> = listing.unlike.iter().map(|(field, value)| format!("{field}!={value}")).collect();
    let page = if listing.count.is_of_content { PAGE_OF_CONTENT } else { PAGE };
    let mut parameters = ListParams::default().limit(page);
    if !labels.is_empty() {
        parameters = parameters.labels(&labels.join(","));
    }
    if !fields.is_empty() {
        parameters = parameters.fields(&fields.join(","));
    }
    parameters
}

async fn dry_run(pods: &Api<DynamicObject>, pod: Value) -> Result<(), Error> {
    let mut pod: DynamicObject = serde_json::from_value(pod).map_err(Error::SerdeError)?;
    // The request says where.
    pod.metadata.namespace = None;
    pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await.map(drop)
}

/// Validation comes before quotas, Pod Security and most policies: what they refuse, the API server found valid. Only who may
/// not ask at all learns nothing.
fn of_status(status: Status) -> Answer {
    let may_not_ask = status.code == 403 && status.message.contains("cannot create resource");
    match status.code {
        422 => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            let mut causes: Vec<_> = causes.into_iter().map(|cause| Cause { field: cause.field, message: cause.message }).collect();
            if causes.is_empty() {
                causes.push(Cause { field: String::new(), message: status.message });
            }
            Answer::Invalid(causes)
        }
        403 | 409 if !may_not_ask => Answer::Good,
        code => Answer::Unknown(format!("the API server answers {code}: {}", status.message)),
    }
}

#[cfg(test)]
mod tests;
