//! Puts the questions of handlers to the API server. Nothing is stored, and no answer in time is an answer too.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Error,
    api::{ApiResource, DynamicObject, GetParams, PostParams},
    core::{Request, Status},
};
use serde_json::Value;

use crate::admission::ask::{Answer, Cause, Question};

/// A hook has 5 s to answer, and its own work and the way there and back take a part of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the API server of `client`; what has to be made to ask would be made in `namespace`, our own. Every question is answered within three seconds, by [`Answer::Unknown`] if need be.
pub fn asked(client: Client, namespace: &str) -> Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync> {
    let pods = Api::<DynamicObject>::namespaced_with(client, namespace, &ApiResource::erase::<Pod>(&()));
    Arc::new(move |question| within(PATIENCE, pods.clone(), question).boxed())
}

async fn within(patience: Duration, pods: Api<DynamicObject>, question: Question) -> Answer {
    let answer = tokio::time::timeout(patience, answer(pods, question)).await;
    answer.unwrap_or_else(|_| Answer::Unknown(format!("the API server did not answer within {} s", patience.as_secs_f32())))
}

async fn answer(pods: Api<DynamicObject>, question: Question) -> Answer {
    match question {
        Question::DryRunPod(pod) => match dry_run(&pods, pod).await {
            Ok(()) => Answer::Good,
            Err(Error::Api(status)) => of_status(*status),
            Err(error) => Answer::Unknown(format!("the API server cannot be asked: {error}")),
        },
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
mod tests {
    use std::{
        convert::Infallible,
        task::{Context, Poll},
    };

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use kube::{
        client::Body,
        core::response::{StatusCause, StatusDetails},
    };
    use serde_json::json;

    use super::*;

    /// An API server that says what it was asked, with status 422, or never says anything.
    #[derive(Clone)]
    struct Server {
        is_silent: bool,
    }

    impl tower::Service<Request<Body>> for Server {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let is_silent = self.is_silent;
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                let (head, body) = request.into_parts();
                let pod = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
                let causes = json!([{"reason": "asked", "field": format!("{} {}", head.method, head.uri), "message": pod}]);
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "details": {"causes": causes}});
                Ok(Response::builder().status(422).body(Body::from(status.to_string().into_bytes())).unwrap())
            }
            .boxed()
        }
    }

    fn question() -> Question {
        Question::DryRunPod(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "s-", "namespace": ""}, "spec": {"newer": [1]}}),
        )
    }

    #[tokio::test]
    async fn a_pod_is_asked_about_in_our_own_namespace_by_a_dry_run_and_in_all_its_members() {
        let answer = asked(Client::new(Server { is_silent: false }, "default"), "own")(question()).await;
        let Answer::Invalid(causes) = answer else { panic!("{answer:?}") };
        assert_eq!(causes[0].field, "POST /api/v1/namespaces/own/pods?&dryRun=All");
        let pod: Value = serde_json::from_str(&causes[0].message).unwrap();
        assert_eq!(pod, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "s-"}, "spec": {"newer": [1]}}));
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_in_time_is_not_waited_for() {
        let client = Client::new(Server { is_silent: true }, "default");
        let pods = Api::<DynamicObject>::namespaced_with(client, "own", &ApiResource::erase::<Pod>(&()));
        let answer = within(Duration::from_millis(20), pods, question()).await;
        assert_eq!(answer, Answer::Unknown("the API server did not answer within 0.02 s".to_owned()));
    }

    fn status(code: u16, message: &str, causes: Vec<StatusCause>) -> Status {
        let details = StatusDetails {
            causes,
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
        };
        Status { code, message: message.to_owned(), details: Some(details), ..Status::default() }
    }

    #[test]
    fn causes_are_what_is_wrong_with_the_pod() {
        let cause =
            StatusCause { reason: "FieldValueRequired".to_owned(), message: "Required value".to_owned(), field: "spec.a".to_owned() };
        let of = |causes| of_status(status(422, "Pod \"p\" is invalid", causes));
        assert_eq!(of(vec![cause]), Answer::Invalid(vec![Cause { field: "spec.a".to_owned(), message: "Required value".to_owned() }]));
        assert_eq!(of(vec![]), Answer::Invalid(vec![Cause { field: String::new(), message: "Pod \"p\" is invalid".to_owned() }]));
    }

    #[test]
    fn a_pod_that_is_refused_for_something_else_is_valid() {
        for message in ["pods \"p\" is forbidden: violates PodSecurity", "pods \"p\" is forbidden: exceeded quota: pods"] {
            assert_eq!(of_status(status(403, message, vec![])), Answer::Good);
        }
    }

    #[test]
    fn who_may_not_ask_learns_nothing() {
        for (code, message) in
            [(403, "pods is forbidden: User \"u\" cannot create resource \"pods\""), (404, "namespaces \"n\" not found"), (500, "etcd")]
        {
            assert_eq!(of_status(status(code, message, vec![])), Answer::Unknown(format!("the API server answers {code}: {message}")));
        }
    }
}
