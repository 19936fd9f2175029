//! Which lists of a pod are merged item by item. Every other list is replaced: tolerations, all lists of affinities, `args`, `envFrom`.
//! (`patchMergeKey` in `k8s.io/api/core/v1/types.go`)

use super::{KeyedList, PLAIN, Shape};

/// A whole pod.
pub const POD: &Shape = &Shape { lists: &[], sets: &[], objects: &[("metadata", METADATA), ("spec", SPEC), ("status", STATUS)] };

/// A container of any kind.
pub const CONTAINER: &Shape = &Shape {
    lists: &[
        KeyedList { name: "env", key: "name", item: PLAIN },
        KeyedList { name: "ports", key: "containerPort", item: PLAIN },
        KeyedList { name: "volumeMounts", key: "mountPath", item: PLAIN },
        KeyedList { name: "volumeDevices", key: "devicePath", item: PLAIN },
    ],
    sets: &[],
    objects: &[],
};

const METADATA: &Shape =
    &Shape { lists: &[KeyedList { name: "ownerReferences", key: "uid", item: PLAIN }], sets: &["finalizers"], objects: &[] };

const SPEC: &Shape = &Shape {
    lists: &[
        KeyedList { name: "containers", key: "name", item: CONTAINER },
        KeyedList { name: "initContainers", key: "name", item: CONTAINER },
        KeyedList { name: "ephemeralContainers", key: "name", item: CONTAINER },
        KeyedList { name: "volumes", key: "name", item: VOLUME },
        KeyedList { name: "imagePullSecrets", key: "name", item: PLAIN },
        KeyedList { name: "hostAliases", key: "ip", item: PLAIN },
        KeyedList { name: "topologySpreadConstraints", key: "topologyKey", item: PLAIN },
        KeyedList { name: "schedulingGates", key: "name", item: PLAIN },
        KeyedList { name: "resourceClaims", key: "name", item: PLAIN },
    ],
    sets: &[],
    objects: &[],
};

/// The claim of an ephemeral volume has metadata of its own.
const VOLUME: &Shape = &Shape {
    lists: &[],
    sets: &[],
    objects: &[(
        "ephemeral",
        &Shape {
            lists: &[],
            sets: &[],
            objects: &[("volumeClaimTemplate", &Shape { lists: &[], sets: &[], objects: &[("metadata", METADATA)] })],
        },
    )],
};

const STATUS: &Shape = &Shape {
    lists: &[
        KeyedList { name: "conditions", key: "type", item: PLAIN },
        KeyedList { name: "podIPs", key: "ip", item: PLAIN },
        KeyedList { name: "hostIPs", key: "ip", item: PLAIN },
        KeyedList { name: "resourceClaimStatuses", key: "name", item: PLAIN },
    ],
    sets: &[],
    objects: &[],
};
