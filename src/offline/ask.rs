//! Questions to a server without a cluster: the objects of the folder answer them.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde_json::Value;

use super::files::Objects;
use crate::admission::ask::{Answer, Listing, Question};

/// Asks these objects, as they stand at that moment.
pub fn asked(objects: Objects) -> Arc<dyn Fn(Question) -> BoxFuture<'static, Answer> + Send + Sync> {
    Arc::new(move |question| futures::future::ready(answer(&question, &objects.read())).boxed())
}

/// What these objects say.
pub fn answer(question: &Question, objects: &[Value]) -> Answer {
    match question {
        Question::HowMany(listing) => {
            let count = objects.iter().filter(|object| is_listed(object, listing)).map(|object| listing.count.of(object)).sum();
            Answer::Counted { count, is_all: true }
        }
        Question::Pod { namespace, name } => object(objects, ["", "Pod"], namespace, name),
        Question::Object { group, kind, namespace, name } => object(objects, [group, kind], namespace, name),
        // Its rules are the API server's.
        Question::DryRunPod(_) => Answer::nobody(),
    }
}

/// In whichever version the object is written.
fn object(objects: &[Value], [group, kind]: [&str; 2], namespace: &str, name: &str) -> Answer {
    let is_it = |object: &&Value| {
        let own_group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
        let is_of_kind = own_group == group && text(object, "/kind") == kind;
        is_of_kind && text(object, "/metadata/name") == name && is_in(object, namespace)
    };
    objects.iter().find(is_it).map_or(Answer::Absent, |object| Answer::Found(object.to_string()))
}

/// Whether a namespaced object is there. Without a namespace it is where kubectl would put it.
fn is_in(object: &Value, namespace: &str) -> bool {
    match text(object, "/metadata/namespace") {
        "" => namespace == "default",
        own => own == namespace,
    }
}

/// In whichever version the object is written: an API server would convert it.
fn is_listed(object: &Value, listing: &Listing) -> bool {
    let api_version = text(object, "/apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let is_unlike = |(field, value): &(&str, &str)| text(object, &format!("/{}", field.replace('.', "/"))) != *value;
    group == listing.group
        && text(object, "/kind") == listing.kind
        && (listing.namespace.is_empty() || is_in(object, &listing.namespace))
        && listing.labels.matches(&labels(object))
        && listing.unlike.iter().all(is_unlike)
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{admission::ask::Count, base::selector::Selector};

    fn pod(namespace: &str, name: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase},
            "metadata": {"namespace": namespace, "name": name, "labels": {"name": name}}})
    }

    fn listing(namespace: &str) -> Listing {
        Listing {
            group: String::new(),
            version: "v1".to_owned(),
            plural: "pods".to_owned(),
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            labels: Selector::default(),
            unlike: &[],
            count: Count::by_metadata(|_| 1),
        }
    }

    fn count(listing: Listing) -> u64 {
        let other = json!({"apiVersion": "example.com/v1", "kind": "Pod", "metadata": {"name": "d", "namespace": "a"}});
        let here = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "e"}});
        let objects = [pod("a", "a", "Running"), pod("a", "b", "Failed"), pod("b", "c", ""), other, here];
        match answer(&Question::HowMany(listing), &objects) {
            Answer::Counted { count, is_all: true } => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn objects_are_found_by_group_kind_and_namespace() {
        assert_eq!([count(listing("")), count(listing("a")), count(listing("b")), count(listing("c"))], [4, 2, 1, 0]);
        assert_eq!(count(listing("default")), 1);
        assert_eq!(count(Listing { group: "example.com".to_owned(), ..listing("") }), 1);
        assert_eq!(count(Listing { version: "v9".to_owned(), ..listing("a") }), 2);
    }

    #[test]
    fn labels_and_fields_narrow_them() {
        assert_eq!(count(Listing { unlike: &[("status.phase", "Failed"), ("status.phase", "Succeeded")], ..listing("a") }), 1);
        let labels = Selector::one_of("name", vec!["b".to_owned(), "c".to_owned()]);
        assert_eq!(count(Listing { labels, ..listing("") }), 2);
    }

    #[test]
    fn each_counts_for_what_the_question_says() {
        assert_eq!(count(Listing { count: Count::by_content(|_| 3), ..listing("a") }), 6);
    }

    #[test]
    fn a_pod_is_found_by_namespace_and_name() {
        let objects =
            [pod("a", "x", ""), pod("b", "x", "Running"), json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "y"}})];
        let of = |namespace: &str, name: &str| {
            let question = Question::Pod { namespace: namespace.to_owned(), name: name.to_owned() };
            answer(&question, &objects)
        };
        assert_eq!(of("b", "x"), Answer::Found(objects[1].to_string()));
        assert_eq!([of("c", "x"), of("a", "y"), of("default", "y")], [Answer::Absent, Answer::Absent, Answer::Absent]);
    }

    #[test]
    fn nobody_knows_the_rules_of_pods() {
        assert_eq!(answer(&Question::DryRunPod(json!({})), &[]), Answer::nobody());
    }
}
