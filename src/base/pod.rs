//! A pod as an admission review carries it: what decisions read of it, borrowed from the request's bytes.
//!
//! Two steps, so that a pod that concerns nobody costs little: [`Meta`] stops reading behind the metadata, [`Spec`] reads
//! names and leaves everything else raw. Members that nobody here knows are never touched.
//! As in Go's decoder, `null` counts as absent.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    decode::{DecodeError, Object, Text, or_default, text},
    selector::Labels,
};

/// Annotation that the kubelet puts on its copies of static pods.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// Texts by key, in the order of the document; of two with one key the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Pairs<'_> {
    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

impl Labels for Pairs<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_ref())
    }
}

/// What decisions read of `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta<'a> {
    /// The pod's name; absent while the API server has yet to make one from `generateName`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
    /// The beginning of a name to be made.
    #[serde(borrow, default, deserialize_with = "text")]
    pub generate_name: Cow<'a, str>,
    /// The namespace; a client may leave it to the request.
    #[serde(borrow, default, deserialize_with = "text")]
    pub namespace: Cow<'a, str>,
    /// The labels.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub labels: Pairs<'a>,
    /// The annotations; `None` if the pod has no such member.
    #[serde(borrow, default)]
    pub annotations: Option<Pairs<'a>>,
    /// Who made the pod.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub owner_references: Vec<Owner<'a>>,
}

/// One owner of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner<'a> {
    /// Group and version.
    #[serde(borrow, default, deserialize_with = "text")]
    pub api_version: Cow<'a, str>,
    /// Kind.
    #[serde(borrow, default, deserialize_with = "text")]
    pub kind: Cow<'a, str>,
    /// Name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
    /// What tells it from an earlier object of its name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub uid: Cow<'a, str>,
    /// Whether this owner is the one that manages the pod.
    #[serde(default)]
    pub controller: Option<bool>,
}

impl Owner<'_> {
    /// The API group, empty for the core one.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl<'a> Meta<'a> {
    /// Reads the metadata of an object and stops there. An object without metadata gives `None`.
    pub fn read(object: &'a RawValue) -> Result<Option<Self>, DecodeError> {
        let mut found = Found::Nothing;
        let mut decoder = serde_json::Deserializer::from_str(object.get());
        let read = decoder.deserialize_map(FindMetadata(&mut found));
        match (found, read) {
            // The decoder complains about what is left behind the metadata: nobody wants to read that.
            (Found::Member(meta), _) => Ok(meta),
            (Found::Nothing, Ok(())) => Ok(None),
            (Found::Nothing, Err(_)) => Err(DecodeError::of::<WithMeta<'a>>(object)),
        }
    }

    /// The owner that manages the pod.
    pub fn controller(&self) -> Option<&Owner<'a>> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref().and_then(|annotations| annotations.label(key))
    }
}

/// What decisions read of `spec`. Lists that the pod does not have are `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// Init containers.
    #[serde(borrow, default)]
    pub init_containers: Option<Vec<Container<'a>>>,
    /// Containers.
    #[serde(borrow, default)]
    pub containers: Option<Vec<Container<'a>>>,
    /// Volumes.
    #[serde(borrow, default)]
    pub volumes: Option<Vec<Named<'a>>>,
    /// Pull secrets.
    #[serde(borrow, default)]
    pub image_pull_secrets: Option<Vec<&'a RawValue>>,
    /// Conditions beside the containers' that readiness waits for.
    #[serde(borrow, default)]
    pub readiness_gates: Option<Vec<ReadinessGate<'a>>>,
}

#[derive(Default, Deserialize)]
struct WithSpec<'a> {
    #[serde(borrow, default)]
    spec: Object<Spec<'a>>,
}

#[derive(Deserialize)]
struct WithMeta<'a> {
    #[serde(borrow, default)]
    #[expect(dead_code, reason = "read for its errors")]
    metadata: Object<Meta<'a>>,
}

impl<'a> Spec<'a> {
    /// Reads the spec of a pod.
    pub fn read(object: &'a RawValue) -> Result<Self, DecodeError> {
        let pod: WithSpec<'a> = serde_json::from_str(object.get()).map_err(|_| DecodeError::of::<WithSpec<'a>>(object))?;
        pod.spec.0.ok_or_else(|| DecodeError { path: "spec".to_owned(), problem: "missing".to_owned() })
    }
}

/// A container: its name, and what some decisions look into, raw.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container<'a> {
    /// The container's name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
    /// Its image.
    #[serde(borrow, default, deserialize_with = "text")]
    pub image: Cow<'a, str>,
    /// `Always` makes an init container a native sidecar.
    #[serde(borrow, default, deserialize_with = "text")]
    pub restart_policy: Cow<'a, str>,
    /// Its variables.
    #[serde(borrow, default)]
    pub env: Option<&'a RawValue>,
    /// Its volume mounts.
    #[serde(borrow, default)]
    pub volume_mounts: Option<&'a RawValue>,
    /// Its block devices.
    #[serde(borrow, default)]
    pub volume_devices: Option<&'a RawValue>,
    /// Its limits and requests.
    #[serde(borrow, default)]
    pub resources: Option<&'a RawValue>,
}

/// Something of which only the name matters.
#[derive(Debug, Deserialize)]
pub struct Named<'a> {
    /// The name.
    #[serde(borrow, default, deserialize_with = "text")]
    pub name: Cow<'a, str>,
}

/// A condition that readiness waits for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessGate<'a> {
    /// Type of the condition.
    #[serde(borrow, default, deserialize_with = "text")]
    pub condition_type: Cow<'a, str>,
}

/// Stores the metadata and gives up reading the rest.
struct FindMetadata<'s, 'a>(&'s mut Found<'a>);

/// What was found of the metadata.
#[derive(Default)]
enum Found<'a> {
    /// No such member so far.
    #[default]
    Nothing,
    /// The member, or `null`.
    Member(Option<Meta<'a>>),
}

impl<'a> Visitor<'a> for FindMetadata<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'a, str>>()? {
            if key == "metadata" {
                *self.0 = Found::Member(map.next_value::<Object<Meta<'a>>>()?.0);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    pairs.push((key.0, value.0));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_metadata_is_read_wherever_it_stands() {
        for json in [
            r#"{"kind":"Pod","metadata":{"name":"web","labels":{"a":"1"}},"spec":{}}"#,
            r#"{"spec":{"containers":[{"name":"metadata"}]},"metadata":{"labels":{"a":"1"},"name":"web"}}"#,
        ] {
            let meta = Meta::read(raw(json)).unwrap().unwrap();
            assert_eq!((meta.name.as_ref(), meta.labels.label("a")), ("web", Some("1")));
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let meta =
            Meta::read(raw(r#"{"metadata":{"name":null,"labels":null,"annotations":null,"ownerReferences":null}}"#)).unwrap().unwrap();
        assert_eq!((meta.name.as_ref(), meta.annotations), ("", None));
        assert!(Meta::read(raw(r#"{"metadata":null,"spec":{}}"#)).unwrap().is_none());
        let spec = Spec::read(raw(r#"{"spec":{"containers":[{"name":"a","env":null}],"volumes":null}}"#)).unwrap();
        assert!(spec.containers.unwrap()[0].env.is_none() && spec.volumes.is_none());
    }

    #[test]
    fn a_member_of_another_type_is_named_by_its_path() {
        let error = Meta::read(raw(r#"{"metadata":{"labels":{"a":7}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "metadata.labels.a: invalid type: integer `7`, expected a string");
        for json in [r#"{"spec":null}"#, r#"{"kind":"Pod"}"#] {
            assert_eq!(Spec::read(raw(json)).unwrap_err().to_string(), "spec: missing");
        }
        let error = Spec::read(raw(r#"{"spec":[]}"#)).unwrap_err();
        assert_eq!(error.to_string(), "spec: invalid type: sequence, expected an object");
        let error = Meta::read(raw(r#"{"metadata":[],"spec":{}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "metadata: invalid type: sequence, expected an object");
        let error = Spec::read(raw(r#"{"spec":{"containers":[{"name":"web","image":7}]}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "spec.containers[0].image: invalid type: integer `7`, expected a string");
    }
}
