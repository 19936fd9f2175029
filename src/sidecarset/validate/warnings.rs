//! What the reference admits, although it does not do what its author may think.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{SidecarContainer, SidecarSet, World, containers, init_containers, resources};
use crate::{
    base::{
        field::Path,
        intstr::is_percentage,
        names::{dns1123_label_problems, is_label_value},
    },
    sidecarset::{api::SidecarSetSpec, expression::unreadable_numbers, hot_upgrade::Twin, select::Choice},
};

/// What to tell the author of a set that is admitted.
pub(super) fn of(set: &SidecarSet, world: &impl World) -> Vec<String> {
    let mut found = Vec::new();
    let mut warn = |path: &Path, text: String| found.push(format!("{path}: {text}"));
    let spec = Path::new("spec");
    for (list, sidecars) in [("initContainers", init_containers(set)), ("containers", containers(set))] {
        for (index, sidecar) in sidecars.iter().enumerate() {
            let path = spec.child(list).index(index);
            of_placement(sidecar, &path, &mut warn);
            of_upgrade(sidecar, &path.child("upgradeStrategy"), &mut warn);
            of_resources(sidecar, &path.child("resourcesPolicy"), &mut warn);
        }
    }
    of_strategy(&set.spec, &spec, &mut warn);
    of_patches(&set.spec, &spec.child("patchPodMetadata"), &mut warn);
    of_revision(set, world, &mut warn);
    if let Some(version) = set.spec.custom_version.as_deref().filter(|version| !is_label_value(version)) {
        warn(&spec.child("customVersion"), format!("{version:?} is no label value, so that no revision can be recorded under it"));
    }
    if set.spec.image_pull_secrets.iter().any(|secret| secret.name.is_empty()) {
        warn(&spec.child("imagePullSecrets"), "a secret without a name is none".to_owned());
    }
    if let Some(limit) = set.spec.revision_history_limit.filter(|limit| *limit < 0) {
        warn(&spec.child("revisionHistoryLimit"), format!("{limit} is less than none"));
    }
    found
}

fn of_placement(sidecar: &SidecarContainer, path: &Path, warn: &mut impl FnMut(&Path, String)) {
    let policy = sidecar.pod_inject_policy.as_deref().unwrap_or_default();
    if !matches!(policy, "" | "BeforeAppContainer" | "AfterAppContainer") {
        warn(&path.child("podInjectPolicy"), format!("{policy:?} is not known and means AfterAppContainer"));
    }
    let shares = [
        ("shareVolumePolicy", sidecar.share_volume_policy.kind.as_deref()),
        ("shareVolumeDevicePolicy", sidecar.share_volume_device_policy.as_ref().and_then(|policy| policy.kind.as_deref())),
    ];
    for (member, kind) in shares {
        if let Some(kind) = kind.filter(|kind| !matches!(*kind, "" | "enabled" | "disabled")) {
            warn(&path.child(member).child("type"), format!("{kind:?} is not known and means disabled"));
        }
    }
}

fn of_upgrade(sidecar: &SidecarContainer, path: &Path, warn: &mut impl FnMut(&Path, String)) {
    let strategy = &sidecar.upgrade_strategy;
    let kind = strategy.upgrade_type.as_deref().unwrap_or_default();
    if !matches!(kind, "" | "ColdUpgrade" | "HotUpgrade") {
        warn(&path.child("upgradeType"), format!("{kind:?} is not known and means ColdUpgrade"));
    }
    if sidecar.is_hot_upgrade() {
        if strategy.hot_upgrade_empty_image.as_deref().unwrap_or_default().is_empty() {
            warn(&path.child("hotUpgradeEmptyImage"), "a hot upgrade needs one: pods that get this sidecar will be refused".to_owned());
        }
        if !dns1123_label_problems(&Twin::Working.name(sidecar.name())).is_empty() {
            warn(path, format!("the name {:?} leaves no room for the suffixes of a hot upgrade", sidecar.name()));
        }
    }
}

fn of_resources(sidecar: &SidecarContainer, path: &Path, warn: &mut impl FnMut(&Path, String)) {
    let Some(policy) = &sidecar.resources_policy else { return };
    let mode = policy.target_containers_mode.as_str();
    if !matches!(mode, "sum" | "max") {
        warn(&path.child("targetContainersMode"), format!("{mode:?} is neither sum nor max: there will be no limits, and requests of 0"));
    }
    for (field, text, variable) in resources::all(&policy.resources_expr) {
        let path = path.child("resourcesExpr").child(&field);
        if !resources::works(text, variable) {
            warn(&path, format!("{text:?} has a value for plain numbers only: pods that get this sidecar may be refused"));
        }
        for number in unreadable_numbers(text) {
            warn(&path, format!("{number:?} is no number and counts as 0"));
        }
    }
}

fn of_strategy(spec: &SidecarSetSpec, path: &Path, warn: &mut impl FnMut(&Path, String)) {
    let kind = spec.update_strategy.kind.as_deref().unwrap_or_default();
    let path = path.child("updateStrategy");
    if !matches!(kind, "RollingUpdate" | "NotUpdate") {
        warn(&path.child("type"), format!("{kind:?} is not known: running pods are not updated, and the strategy was not checked"));
    }
    let is_partial = spec.injection_strategy.revision.as_ref().is_some_and(|revision| revision.policy.as_deref() == Some("Partial"));
    if let Some(IntOrString::String(text)) = &spec.update_strategy.partition
        && is_partial
        && !is_percentage(text)
    {
        warn(&path.child("partition"), format!("{text:?} is no percentage: pods that this set matches will be refused"));
    }
}

fn of_patches(spec: &SidecarSetSpec, path: &Path, warn: &mut impl FnMut(&Path, String)) {
    for (index, patch) in spec.patch_pod_metadata.iter().enumerate() {
        let path = path.index(index);
        match patch.patch_policy.as_deref().unwrap_or_default() {
            "" | "Retain" | "Overwrite" => {}
            "MergePatchJson" => {
                let is_structured =
                    |text: &str| serde_json::from_str(text).is_ok_and(|value: serde_json::Value| value.is_object() || value.is_array());
                for (key, _) in patch.annotations.iter().filter(|(_, value)| !is_structured(value)) {
                    let text = "holds no JSON to merge: pods that have the annotation will be refused";
                    warn(&path.child("annotations").key(key), text.to_owned());
                }
            }
            policy => warn(&path.child("patchPolicy"), format!("{policy:?} is not known: these annotations are not put on pods")),
        }
    }
}

fn of_revision(set: &SidecarSet, world: &impl World, warn: &mut impl FnMut(&Path, String)) {
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let choice = Choice::of(&set.spec);
    let Ok(revision) = choice.named(name, world.revisions()) else { return };
    if revision.set_name.as_deref() != Some(name) {
        let path = Path::new("spec").child("injectionStrategy.revision");
        warn(&path, format!("ControllerRevision {} was not recorded for this set", revision.name));
    }
}
