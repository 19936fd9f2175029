//! The pods: each as the API server tells of it, a Deployment's pod on its node, and running.

use std::fmt::Write as _;

/// Pods of one ReplicaSet.
const IN_A_SET: usize = 20;
const NAMESPACES: usize = 200;
const NODES: usize = 1_000;

/// What pods are like, in percent of the `ReplicaSets`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Two sidecars of a set were put into them.
    pub(crate) injected: usize,
    /// Their namespaces have a spread.
    pub(crate) spread: usize,
}

/// All pods of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods {
    pub(crate) count: usize,
    pub(crate) kind: Kind,
}

impl Pods {
    /// The names of the namespaces.
    pub(crate) fn namespaces() -> impl Iterator<Item = String> {
        (0..NAMESPACES).map(|number| format!("team-{number}"))
    }

    /// The namespaces that have a spread.
    pub(crate) fn spread_namespaces(self) -> impl Iterator<Item = String> {
        (0..NAMESPACES).filter(move |number| number * 100 / NAMESPACES < self.kind.spread).map(|number| format!("team-{number}"))
    }

    /// The pod of this number, in JSON, written to the end of `text`.
    pub(crate) fn write(self, number: usize, text: &mut String) {
        let set = number / IN_A_SET;
        let (namespace, node) = (set % NAMESPACES, number % NODES);
        let is_injected = set * 37 % 100 < self.kind.injected;
        let (hash, end) = (format!("{:010x}", spread_out(set) >> 24), format!("{:05x}", spread_out(number) >> 44));
        let name = format!("service-{set}-{hash}-{end}");
        let (uid, owner) = (uid(number), uid(set + 1_000_000_000));
        let annotations = if is_injected { INJECTED } else { "" };
        let _ = write!(
            text,
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}","generateName":"service-{set}-{hash}-","namespace":"team-{namespace}","uid":"{uid}","resourceVersion":"{version}","generation":1,"creationTimestamp":"2026-01-15T08:{minute:02}:30Z","labels":{{"app":"service-{set}","app.kubernetes.io/part-of":"store-{namespace}","pod-template-hash":"{hash}","tier":"front"}},"annotations":{{{annotations}"prometheus.io/port":"9100","prometheus.io/scrape":"true"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"service-{set}-{hash}","uid":"{owner}","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{MANAGED}]}},"spec":{{"volumes":[{{"name":"kube-api-access-{end}","projected":{{"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"name":"kube-root-ca.crt","items":[{{"key":"ca.crt","path":"ca.crt"}}]}}}},{{"downwardAPI":{{"items":[{{"path":"namespace","fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.namespace"}}}}]}}}}],"defaultMode":420}}}}],"containers":["#,
            version = 1_000_000 + number,
            minute = number % 60,
        );
        let names: &[&str] = if is_injected { &["mesh-proxy", "log-agent", "web", "cache"] } else { &["web", "cache"] };
        for (index, name) in names.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}{{"name":"{name}","image":"registry.example.com/store/{name}:{release}","ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],"env":[{{"name":"LISTEN","value":"0.0.0.0:8080"}},{{"name":"REGION","value":"eu-north-1"}},{{"name":"POD","valueFrom":{{"fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.name"}}}}}}],"resources":{{"limits":{{"cpu":"500m","memory":"256Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"kube-api-access-{end}","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}}],"livenessProbe":{{"httpGet":{{"path":"/live","port":8080,"scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}"#,
                release = set % 50,
            );
        }
        let _ = write!(
            text,
            r#"],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"node-{node}","securityContext":{{}},"schedulerName":"default-scheduler","tolerations":[{{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}},{{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"}},"status":{{"observedGeneration":1,"phase":"Running","conditions":[{CONDITIONS}],"hostIP":"10.1.{high}.{low}","podIP":"10.2.{high}.{low}","podIPs":[{{"ip":"10.2.{high}.{low}"}}],"startTime":"2026-01-15T08:30:00Z","containerStatuses":["#,
            high = node / 256,
            low = node % 256,
        );
        for (index, name) in names.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (release, digest) = (set % 50, spread_out(set % 50));
            let _ = write!(
                text,
                r#"{comma}{{"name":"{name}","state":{{"running":{{"startedAt":"2026-01-15T08:30:02Z"}}}},"lastState":{{}},"ready":true,"restartCount":0,"image":"registry.example.com/store/{name}:{release}","imageID":"registry.example.com/store/{name}@sha256:{digest:064x}","containerID":"containerd://{id:064x}","started":true}}"#,
                id = spread_out(number * 4 + index),
            );
        }
        text.push_str(r#"],"qosClass":"Burstable"}}"#);
    }
}

/// Another number that looks random.
fn spread_out(number: usize) -> u64 {
    let mixed = (number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn uid(number: usize) -> String {
    let (one, two) = (spread_out(number), spread_out(number.wrapping_add(7)));
    format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", one >> 32, one >> 16 & 0xffff, one & 0xfff, two >> 52, two & 0xffff_ffff_ffff)
}

/// What the injection leaves in the annotations of a pod.
const INJECTED: &str = r#""kruise.io/sidecarset-hash":"{\"mesh\":{\"updateTimestamp\":\"2026-01-15T08:30:00Z\",\"hash\":\"5v4c627fdz2c474wzx58v9w4v7vb724f26d67c5292zc4fb582bb5c46xwx4bwc9\",\"sidecarSetName\":\"mesh\",\"sidecarList\":[\"mesh-proxy\",\"log-agent\"],\"controllerRevision\":\"mesh-58c4d66dfd\"}}","kruise.io/sidecarset-hash-without-image":"{\"mesh\":{\"updateTimestamp\":\"2026-01-15T08:30:00Z\",\"hash\":\"4424wfff8b57d47vb7684zc4bb5478vxwwdcz7dd2xdwbf4d4446424d4w29cwd5\",\"sidecarSetName\":\"mesh\",\"sidecarList\":[\"mesh-proxy\",\"log-agent\"]}}","kruise.io/sidecarset-injected-list":"mesh","#;

const CONDITIONS: &str = r#"{"type":"PodReadyToStartContainers","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-15T08:30:02Z"},{"type":"Initialized","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-15T08:30:00Z"},{"type":"Ready","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-15T08:30:04Z"},{"type":"ContainersReady","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-15T08:30:04Z"},{"type":"PodScheduled","observedGeneration":1,"status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-15T08:30:00Z"}"#;

/// Who wrote which field: the controller that made the pod, and the kubelet.
const MANAGED: &str = r#"{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-01-15T08:30:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:app.kubernetes.io/part-of":{},"f:pod-template-hash":{},"f:tier":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"a3b0a1a0-3b5a-4a0e-8a3d-2f9a5f6d1c55\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"LISTEN\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD\"}":{".":{},"f:name":{},"f:valueFrom":{".":{},"f:fieldRef":{}}},"k:{\"name\":\"REGION\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}},{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-01-15T08:30:04Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:observedGeneration":{},"f:status":{},"f:type":{}}},"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:observedGeneration":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"10.2.0.1\"}":{".":{},"f:ip":{}}},"f:startTime":{}}},"subresource":"status"}"#;
