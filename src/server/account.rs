//! What is counted and logged of an answer: one line for each denial and each patch that is stored, with who, what and why. Of objects it says names,
//! never what stands in them.

use serde_json::value::RawValue;

use crate::{
    admission::{
        review::Request,
        verdict::{Decision, Outcome},
    },
    telemetry::{
        metrics::{HookMetrics, Verdict},
        trace,
    },
};

/// Counts and logs the answer to a review.
pub(super) fn note(hook: &str, metrics: &HookMetrics, request: &Request<'_>, decision: &Decision) {
    let (verdict, reason) = (verdict(&decision.outcome), decision.grounds().word());
    metrics.answered(verdict, reason);
    trace::answered(verdict, reason);
    macro_rules! line {
        ($level:ident, $($said:tt)+) => {
            tracing::$level!(
                hook,
                reason,
                user = %request.user_info.username,
                operation = %request.operation,
                resource = %Resource(request),
                namespace = %request.namespace,
                name = %name(request),
                review = %request.uid,
                dry_run = request.dry_run,
                $($said)+
            )
        };
    }
    match &decision.outcome {
        Outcome::Deny(denial) => line!(info, code = denial.code, "denied: {}", denial.message),
        Outcome::Allow(edits) if edits.is_empty() => line!(debug, "allowed"),
        // The mark of an eviction is not stored, and of one that is refused there is the line of the refusal.
        Outcome::Allow(_) if request.sub_resource == "eviction" => line!(debug, "patched: {}", decision.note),
        Outcome::Allow(_) => line!(info, "patched: {}", decision.note),
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Deny(_) => Verdict::Denied,
        Outcome::Allow(edits) if edits.is_empty() => Verdict::Allowed,
        Outcome::Allow(_) => Verdict::Patched,
    }
}

/// The resource of a request with its subresource, as `pods/eviction`, and its group, if it is not the core one.
struct Resource<'r>(&'r Request<'r>);

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (resource, sub_resource) = (&self.0.resource, &self.0.sub_resource);
        f.write_str(&resource.resource)?;
        if !sub_resource.is_empty() {
            write!(f, "/{sub_resource}")?;
        }
        if resource.group.is_empty() { Ok(()) } else { write!(f, ".{}", resource.group) }
    }
}

/// Where the API server writes how a name will begin, at the front: to read the whole object for a line would take longer than to decide.
const MEMBER: &str = "\"generateName\":";

/// The name of the object; of one that is yet to get its name, how that will begin, and a star.
fn name(request: &Request<'_>) -> String {
    if !request.name.is_empty() {
        return request.name.to_string();
    }
    let text = request.object.map(RawValue::get).unwrap_or_default();
    let Some((_, value)) = text.split_once(MEMBER) else { return String::new() };
    let begins = serde_json::Deserializer::from_str(value).into_iter::<String>().next().and_then(Result::ok);
    begins.map(|begins| begins + "*").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    #[test]
    fn an_object_without_a_name_is_called_by_how_its_name_will_begin() {
        let of = |name: &str, object: &serde_json::Value| {
            let object = to_raw_value(object).unwrap();
            let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "name": name, "object": object}});
            super::name(&crate::admission::review::read(review.to_string().as_bytes()).unwrap())
        };
        assert_eq!(of("a", &json!({"metadata": {"generateName": "b-"}})), "a");
        assert_eq!(of("", &json!({"metadata": {"generateName": "web-\"7-"}})), "web-\"7-*");
        assert_eq!(of("", &json!({"metadata": {}})), "");
        assert_eq!(of("", &json!({"metadata": {"generateName": 7}})), "");
    }

    #[test]
    fn a_resource_is_called_with_its_group_and_subresource() {
        let of = |group: &'static str, resource: &'static str, sub: &'static str| {
            let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u",
                "resource": {"group": group, "version": "v1", "resource": resource}, "subResource": sub}});
            Resource(&crate::admission::review::read(review.to_string().as_bytes()).unwrap()).to_string()
        };
        assert_eq!((of("", "pods", "eviction"), of("apps", "deployments", "")), ("pods/eviction".into(), "deployments.apps".into()));
    }
}
