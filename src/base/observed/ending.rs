//! What containers say of their own end: variables by which a sidecar asks to be ended together with the work beside it.
//! Most pods have none of them, and for those nothing is kept. (Reference: `apis/apps/v1alpha1/well_known_labels.go`)

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::Wire;
use crate::base::{decode::text, interned::Interner};

/// `true`, of any case: the container is to end when the work beside it has.
const WHEN_JOB_EXIT: &str = "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT";
/// `true`, of any case: how it ends says nothing of the pod.
const IGNORE_EXIT_CODE: &str = "KRUISE_TERMINATE_SIDECAR_IGNORE_EXIT_CODE";
/// An image that ends at once: the container is ended by getting it.
const WHEN_JOB_EXIT_WITH_IMAGE: &str = "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT_WITH_IMAGE";

/// `true`: a set put the container into the pod.
const IS_INJECTED: &str = "IS_INJECTED";

/// The condition of pods whose end was brought about.
pub const SIDECAR_TERMINATED: &str = "SidecarTerminated";

/// How a pod with such sidecars ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Whether what ended is started again.
    pub restarts: Restarts,
    /// The node that it runs on; empty if it has none.
    pub node: Arc<str>,
    /// It has the condition [`SIDECAR_TERMINATED`], whatever that says.
    pub is_marked: bool,
    /// Its containers, in the order of the spec.
    pub containers: Box<[ContainerEnding]>,
}

/// When the kubelet starts again what has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restarts {
    /// Always, or nothing is said.
    #[default]
    Always,
    /// If it failed.
    OnFailure,
    /// Never.
    Never,
}

/// How a container ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerEnding {
    /// What it asks for.
    pub wishes: Wishes,
    /// What it ended with, if it has ended.
    pub exit_code: Option<i32>,
}

/// What the variables of a container ask for. Only values that are written out count, not those that come from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// It is to be ended when the work beside it has.
    pub ends_with_job: bool,
    /// Its exit code does not count.
    pub ignores_exit_code: bool,
    /// The image that ends it.
    pub exit_image: Option<Arc<str>>,
    /// A set put it into the pod.
    pub is_injected: bool,
}

impl Wishes {
    /// Whether the container is a sidecar; what is none is work.
    pub fn is_sidecar(&self) -> bool {
        self.ends_with_job || self.exit_image.is_some()
    }

    fn read(&mut self, name: &str, value: &str) {
        let is_true = value.eq_ignore_ascii_case("true");
        match name {
            WHEN_JOB_EXIT => self.ends_with_job |= is_true,
            IS_INJECTED => self.is_injected |= value == "true",
            IGNORE_EXIT_CODE => self.ignores_exit_code |= is_true,
            WHEN_JOB_EXIT_WITH_IMAGE if self.exit_image.is_none() && !value.is_empty() => self.exit_image = Some(value.into()),
            _ => {}
        }
    }
}

/// Reads the variables of a container; all others are skipped, not copied.
impl<'de> Deserialize<'de> for Wishes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Variable<'a> {
            #[serde(default, borrow, deserialize_with = "text")]
            name: Cow<'a, str>,
            #[serde(default, borrow, deserialize_with = "text")]
            value: Cow<'a, str>,
        }
        struct Variables;
        impl<'de> Visitor<'de> for Variables {
            type Value = Wishes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of variables")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut variables: A) -> Result<Wishes, A::Error> {
                let mut wishes = Wishes::default();
                while let Some(variable) = variables.next_element::<Variable<'de>>()? {
                    wishes.read(&variable.name, &variable.value);
                }
                Ok(wishes)
            }
        }
        deserializer.deserialize_seq(Variables)
    }
}

impl Wire {
    /// Whether one of its containers is to be ended when the work beside it has.
    pub fn has_sidecars_to_end(&self) -> bool {
        self.spec.containers.iter().any(|container| container.env.is_sidecar())
    }

    /// How the pod ends, if one of its containers is to be ended.
    pub(super) fn ending(&self, interner: &mut Interner) -> Option<Box<Ending>> {
        if !self.has_sidecars_to_end() {
            return None;
        }
        let exit_code = |name: &str| {
            let status = self.status.container_statuses.iter().find(|status| status.name == name)?;
            status.state.terminated.as_ref().map(|terminated| terminated.exit_code)
        };
        let wishes = |wishes: &Wishes, interner: &mut Interner| Wishes {
            exit_image: wishes.exit_image.as_deref().map(|image| interner.of(image)),
            ..wishes.clone()
        };
        let containers = self.spec.containers.iter();
        Some(Box::new(Ending {
            restarts: match self.spec.restart_policy.as_str() {
                "Never" => Restarts::Never,
                "OnFailure" => Restarts::OnFailure,
                _ => Restarts::Always,
            },
            node: interner.of(&self.spec.node_name),
            is_marked: self.condition(SIDECAR_TERMINATED).is_some(),
            containers: containers
                .map(|container| ContainerEnding { wishes: wishes(&container.env, interner), exit_code: exit_code(&container.name) })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wishes(env: Value) -> Wishes {
        serde_json::from_value(env).unwrap()
    }

    fn ending(object: &Value) -> Option<Box<Ending>> {
        // As text, as it comes from the API server.
        let wire: Wire = serde_json::from_str(&object.to_string()).unwrap();
        wire.observe(&mut Interner::default()).ending
    }

    #[test]
    fn only_values_that_are_written_out_count() {
        let asked = Wishes { ends_with_job: true, ..Wishes::default() };
        assert_eq!(wishes(json!([{"name": WHEN_JOB_EXIT, "value": "TRUE"}])), asked);
        assert_eq!(wishes(json!([{"name": WHEN_JOB_EXIT, "value": "false"}, {"name": WHEN_JOB_EXIT, "value": "true"}])), asked);
        for nothing in [
            json!([]),
            json!([{"name": WHEN_JOB_EXIT, "value": "1"}]),
            json!([{"name": WHEN_JOB_EXIT}]),
            json!([{"name": WHEN_JOB_EXIT, "value": null}]),
            json!([{"name": WHEN_JOB_EXIT, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
            json!([{"name": WHEN_JOB_EXIT_WITH_IMAGE, "value": ""}]),
            json!([{"name": "PATH", "value": "a \"quoted\" text"}]),
        ] {
            assert_eq!(wishes(nothing.clone()), Wishes::default(), "{nothing}");
        }
    }

    #[test]
    fn the_first_image_that_is_one_counts() {
        let env = json!([{"name": WHEN_JOB_EXIT_WITH_IMAGE, "value": ""}, {"name": WHEN_JOB_EXIT_WITH_IMAGE, "value": "exit:1"}, {"name": WHEN_JOB_EXIT_WITH_IMAGE, "value": "exit:2"}]);
        assert_eq!(wishes(env).exit_image.as_deref(), Some("exit:1"));
    }

    #[test]
    fn nothing_is_kept_of_a_pod_without_such_a_sidecar() {
        for env in [json!(null), json!([]), json!([{"name": IGNORE_EXIT_CODE, "value": "true"}])] {
            assert_eq!(ending(&json!({"spec": {"containers": [{"name": "main", "env": env}]}})), None);
        }
        // An init container has ended before there is any work.
        let env = json!([{"name": WHEN_JOB_EXIT, "value": "true"}]);
        assert_eq!(ending(&json!({"spec": {"initContainers": [{"name": "main", "env": env}]}})), None);
    }

    #[test]
    fn a_pod_with_a_sidecar_is_read_with_what_has_ended() {
        let object = json!({
            "spec": {"restartPolicy": "OnFailure", "nodeName": "n1", "containers": [
                {"name": "main", "env": [{"name": "A", "value": "\n"}]},
                {"name": "mesh", "env": [{"name": WHEN_JOB_EXIT, "value": "true"}, {"name": IGNORE_EXIT_CODE, "value": "true"}]}]},
            "status": {
                "conditions": [{"type": SIDECAR_TERMINATED, "status": "False"}],
                "containerStatuses": [{"name": "mesh", "state": {"running": {}}}, {"name": "main", "state": {"terminated": {"exitCode": 137}}}]}});
        let wishes = Wishes { ends_with_job: true, ignores_exit_code: true, exit_image: None, is_injected: false };
        let containers =
            [ContainerEnding { exit_code: Some(137), ..ContainerEnding::default() }, ContainerEnding { wishes, exit_code: None }].into();
        let expected = Ending { restarts: Restarts::OnFailure, node: "n1".into(), is_marked: true, containers };
        assert_eq!(*ending(&object).unwrap(), expected);
    }
}
