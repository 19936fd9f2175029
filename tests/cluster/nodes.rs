//! What every cluster of the tests holds from the start: nodes in three zones, and volumes to claim.

use serde_json::{Value, json};

pub(crate) const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// One control-plane node that takes no pods, one worker in each zone, a storage class and its volumes.
pub(crate) fn objects() -> Vec<Value> {
    let control_plane = node("control-plane", 2, &json!({"node-role.kubernetes.io/control-plane": ""}), true);
    let workers = ZONES.iter().zip(1u8..).map(|(zone, number)| {
        let labels = json!({"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "region-1"});
        node(&format!("worker-{number}"), number + 2, &labels, false)
    });
    // Nothing provisions volumes here; the volume binder hands out these.
    let volumes = (1..=20).map(volume);
    [control_plane].into_iter().chain(workers).chain([storage_class()]).chain(volumes).collect()
}

fn node(name: &str, address: u8, extra_labels: &Value, tainted: bool) -> Value {
    let mut labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
    if let (Some(labels), Some(extra)) = (labels.as_object_mut(), extra_labels.as_object()) {
        labels.extend(extra.clone());
    }
    let taint = json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"});
    let resources = json!({"cpu": "64", "memory": "256Gi", "ephemeral-storage": "500Gi", "pods": "1000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": if tainted { vec![taint] } else { vec![] }},
        "status": {
            "allocatable": resources,
            "capacity": resources,
            "addresses": [
                {"type": "InternalIP", "address": format!("172.18.0.{address}")},
                {"type": "Hostname", "address": name},
            ],
        },
    })
}

fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    })
}

fn volume(number: u8) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": format!("volume-{number}")},
        "spec": {
            "storageClassName": "standard",
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": format!("/nonexistent/volume-{number}")},
        },
    })
}
