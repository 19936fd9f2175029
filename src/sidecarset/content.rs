//! What a set adds to pods, with all that no pod can change rendered once as JSON text.
//!
//! The rest (shared mounts, transferred variables, computed resources, twins) is put together pod by pod in
//! [`super::inject`] by joining texts: no value is decoded or encoded there.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    api::{PodMetadataPatch, SidecarContainer, SidecarSet, TransferEnv, Volume},
    keys::{HASH, HASH_WITHOUT_IMAGE},
    resources::ResourcesRule,
};
use crate::{
    admission::edits::{push_quoted, quoted},
    base::names::is_qualified_name,
};

/// What one revision of a set adds.
#[derive(Clone, Debug)]
pub struct Content {
    /// Init containers, in the order of the set.
    pub init_containers: Vec<Sidecar>,
    /// Containers, in the order of the set.
    pub containers: Vec<Sidecar>,
    /// Pull secrets.
    pub secrets: Vec<Keyed>,
    /// Annotations.
    pub metadata: Vec<PodMetadataPatch>,
    /// Hash of the sidecars, and the hash with blank images.
    pub hashes: [String; 2],
    /// Name of the ControllerRevision that records this content, as far as known.
    pub revision: Option<String>,
}

/// One container to add.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// Name of the container in the set.
    pub name: String,
    /// Whether it goes before or behind the pod's own.
    pub side: Side,
    /// Whether it is an init container that stays running.
    pub is_native: bool,
    /// Image of the idle twin, as JSON: the sidecar is added twice, for hot upgrades.
    pub twin_image: Option<String>,
    /// Gets the mounts of the application containers.
    pub shares_mounts: bool,
    /// Gets the block devices of the application containers.
    pub shares_devices: bool,
    /// Variables to copy.
    pub transfers: Vec<Transfer>,
    /// Resources to compute.
    pub resources_rule: Option<ResourcesRule>,
    /// Image, as JSON.
    pub image: Option<String>,
    /// All members that are not fields of this struct: `,"key":value` for each.
    pub members: String,
    /// Own variables by name.
    pub env: Vec<Keyed>,
    /// Own mounts by path.
    pub mounts: Vec<Keyed>,
    /// Own block devices by path.
    pub devices: Vec<Keyed>,
    /// Own resources, as JSON.
    pub resources: Option<String>,
    /// The volumes of the set that own mounts and devices use, in that order, by name.
    pub volumes: Vec<Keyed>,
}

/// A JSON text, and what it is known by where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Name or path.
    pub key: String,
    /// The whole item.
    pub json: String,
}

/// Where a sidecar is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the pod's own containers.
    Before,
    /// Behind them.
    After,
}

/// Variables to copy from one container of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Which container.
    pub source: Source,
    /// Names of the variables, in the order in which they are copied.
    pub names: BTreeSet<String>,
}

/// Names a container of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By its name.
    Name(String),
    /// By the value of a label.
    Label(String),
    /// By the value of an annotation.
    Annotation(String),
}

impl Content {
    /// Renders what `set` adds.
    pub fn of(set: &SidecarSet) -> Self {
        let annotation = |key| set.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned().unwrap_or_default();
        let sidecars = |list: &Option<Vec<SidecarContainer>>, is_init| -> Vec<Sidecar> {
            list.iter().flatten().map(|sidecar| Sidecar::of(sidecar, is_init, &set.spec.volumes)).collect()
        };
        let secret = |name: &str| Keyed { key: name.to_owned(), json: format!("{{\"name\":{}}}", quoted(name)) };
        Self {
            init_containers: sidecars(&set.spec.init_containers, true),
            containers: sidecars(&set.spec.containers, false),
            secrets: set.spec.image_pull_secrets.iter().map(|s| secret(&s.name)).collect(),
            metadata: set.spec.patch_pod_metadata.clone(),
            hashes: [annotation(HASH), annotation(HASH_WITHOUT_IMAGE)],
            revision: set.status.as_ref().and_then(|status| status.latest_revision.clone()).filter(|name| !name.is_empty()),
        }
    }

    /// All containers to add, init containers first.
    pub fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.init_containers.iter().chain(&self.containers)
    }
}

/// Members of a container that are put together pod by pod.
const ASSEMBLED: [&str; 6] = ["name", "image", "env", "volumeMounts", "volumeDevices", "resources"];

impl Sidecar {
    fn of(sidecar: &SidecarContainer, is_init: bool, volumes: &[Volume]) -> Self {
        let container = &sidecar.container;
        let is_native = is_init && sidecar.is_native();
        // Unknown texts mean the default of a regular container's old API: behind the application.
        let side = if sidecar.pod_inject_policy.as_deref() == Some("BeforeAppContainer") { Side::Before } else { Side::After };
        let mounts = keyed(container, "volumeMounts", "mountPath");
        let devices = keyed(container, "volumeDevices", "devicePath");
        let used = names(container, "volumeMounts").chain(names(container, "volumeDevices"));
        // Of two volumes of one name the last counts, as in the reference; a mount without a volume is refused by the API server.
        let volume = |name: &str| volumes.iter().rev().find(|volume| volume.name() == name);
        Self {
            name: sidecar.name().to_owned(),
            side,
            is_native,
            twin_image: twin_image(sidecar, is_native || !is_init),
            shares_mounts: sidecar.share_volume_policy.is_enabled(),
            shares_devices: sidecar.share_volume_device_policy.as_ref().is_some_and(super::api::SharePolicy::is_enabled),
            transfers: sidecar.transfer_env.iter().filter_map(Transfer::of).collect(),
            resources_rule: sidecar.resources_policy.as_ref().map(ResourcesRule::compile),
            image: container.get("image").map(Value::to_string),
            members: members(container),
            env: keyed(container, "env", "name"),
            mounts,
            devices,
            resources: container.get("resources").filter(|value| !value.is_null()).map(Value::to_string),
            volumes: used
                .filter_map(volume)
                .map(|v| Keyed { key: v.name().to_owned(), json: Value::Object(v.0.clone()).to_string() })
                .collect(),
        }
    }

    /// Whether a look into the pod's own containers is needed.
    pub fn looks_at_containers(&self) -> bool {
        self.shares_mounts || self.shares_devices || !self.transfers.is_empty() || self.resources_rule.is_some()
    }
}

/// A hot upgrade needs a second image: a twin without one would be a pod that the API server refuses, so such a sidecar is
/// taken as cold. Plain init containers end and have nothing to hand over.
fn twin_image(sidecar: &SidecarContainer, can_be_hot: bool) -> Option<String> {
    let image = sidecar.upgrade_strategy.hot_upgrade_empty_image.as_deref().filter(|image| !image.is_empty());
    image.filter(|_| can_be_hot && sidecar.is_hot_upgrade()).map(quoted)
}

fn members(container: &Map<String, Value>) -> String {
    let others = container.iter().filter(|(key, value)| !ASSEMBLED.contains(&key.as_str()) && !value.is_null());
    others.fold(String::new(), |mut all, (key, value)| {
        all.push(',');
        push_quoted(&mut all, key);
        all.push(':');
        all.push_str(&value.to_string());
        all
    })
}

fn items<'c>(container: &'c Map<String, Value>, list: &str) -> impl Iterator<Item = &'c Value> + use<'c> {
    container.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn names<'c>(container: &'c Map<String, Value>, list: &str) -> impl Iterator<Item = &'c str> + use<'c> {
    items(container, list).filter_map(|item| item.get("name").and_then(Value::as_str))
}

fn keyed(container: &Map<String, Value>, list: &str, key: &str) -> Vec<Keyed> {
    let text = |item: &Value| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    items(container, list).map(|item| Keyed { key: text(item), json: item.to_string() }).collect()
}

impl Transfer {
    /// `None` if the entry's source is a field that holds no container name: the others of the sidecar still work.
    fn of(entry: &TransferEnv) -> Option<Self> {
        let source = match entry.source_container_name_from.as_ref().and_then(|from| from.field_ref.as_ref()) {
            Some(field) => Source::of_field(&field.field_path)?,
            None => Source::Name(entry.source_container_name.clone().unwrap_or_default()),
        };
        let single = entry.env_name.iter().filter(|name| !name.is_empty());
        Some(Self { source, names: single.chain(&entry.env_names).cloned().collect() })
    }
}

impl Source {
    /// Reads `metadata.labels['KEY']` or `metadata.annotations['KEY']`.
    fn of_field(path: &str) -> Option<Self> {
        let (field, key) = path.strip_suffix("']")?.split_once("['")?;
        match field {
            "metadata.labels" if is_qualified_name(key) => Some(Self::Label(key.to_owned())),
            // Kubernetes allows capitals in the prefix of an annotation's key, so it is judged in lower case.
            "metadata.annotations" if is_qualified_name(&key.to_lowercase()) => Some(Self::Annotation(key.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(spec: &serde_json::Value) -> Content {
        Content::of(
            &serde_json::from_value(
                serde_json::json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet", "metadata": {"name": "s"}, "spec": spec}),
            )
            .unwrap(),
        )
    }

    #[test]
    fn only_volumes_that_are_mounted_are_taken_and_in_the_order_of_the_mounts() {
        let content = content(&serde_json::json!({
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "future": {"x": 1}}, {"name": "c", "emptyDir": {}}],
            "containers": [{"name": "log", "volumeDevices": [{"name": "a", "devicePath": "/dev/a"}], "volumeMounts": [{"name": "b", "mountPath": "/b"}, {"name": "gone", "mountPath": "/g"}]}],
        }));
        let volumes: Vec<_> = content.containers[0].volumes.iter().map(|volume| volume.json.as_str()).collect();
        assert_eq!(volumes, [r#"{"name":"b","future":{"x":1}}"#, r#"{"name":"a","emptyDir":{}}"#]);
    }

    #[test]
    fn members_that_nobody_knows_are_kept_and_those_of_the_set_are_not() {
        let content = content(
            &serde_json::json!({"containers": [{"name": "log", "image": "log:1", "future": {"deep": [1]}, "podInjectPolicy": "BeforeAppContainer", "tty": null}]}),
        );
        assert_eq!(content.containers[0].members, r#","future":{"deep":[1]}"#);
        assert_eq!(content.containers[0].side, Side::Before);
    }

    #[test]
    fn a_hot_upgrade_without_an_empty_image_is_cold() {
        let content = content(&serde_json::json!({
            "initContainers": [{"name": "plain", "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}],
            "containers": [{"name": "a", "upgradeStrategy": {"upgradeType": "HotUpgrade"}}, {"name": "b", "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}],
        }));
        assert!(content.init_containers[0].twin_image.is_none() && content.containers[0].twin_image.is_none());
        assert_eq!(content.containers[1].twin_image.as_deref(), Some("\"empty:1\""));
    }

    #[test]
    fn a_source_is_a_label_or_an_annotation_by_subscript() {
        assert_eq!(Source::of_field("metadata.labels['app/main']"), Some(Source::Label("app/main".to_owned())));
        assert_eq!(Source::of_field("metadata.annotations['Example.com/main']"), Some(Source::Annotation("Example.com/main".to_owned())));
        for bad in [
            "metadata.name",
            "metadata.labels",
            "metadata.labels['']",
            "metadata.labels['a b']",
            "['x']",
            "spec['x']",
            "metadata.labels['x'",
        ] {
            assert_eq!(Source::of_field(bad), None, "{bad}");
        }
    }
}
