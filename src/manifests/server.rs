//! The server itself: its namespace, its replicas, and the service in front of them. All of it passes the `restricted`
//! level of Pod Security.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Namespace, ObjectFieldSelector,
            PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Service,
            ServicePort, ServiceSpec, TopologySpreadConstraint,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
        scheduling::v1::PriorityClass,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{CONVERSION_SERVICE, NAME, Rendering, SERVICE, cluster_wide, own};

/// User and group of the process; any but root will do.
const NOBODY: i64 = 65532;
/// The highest that is not the cluster's own: whoever waits for our answers is ranked below us.
const PRIORITY: i32 = 1_000_000_000;
/// How long a replica may take to end: it goes on accepting for 5 s while the cluster takes note, then answers for up to 20 s what it
/// has accepted, then gives back its lease.
const GRACE_SECONDS: i64 = 35;

pub(super) fn namespace(rendering: &Rendering) -> Namespace {
    let mut metadata = cluster_wide(&rendering.namespace);
    let level = ("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    metadata.labels.get_or_insert_default().extend([level]);
    Namespace { metadata, ..Namespace::default() }
}

pub(super) fn service(rendering: &Rendering) -> Service {
    let port = |name: &str, port, target: &str| ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::String(target.to_owned())),
        ..ServicePort::default()
    };
    Service {
        metadata: own(rendering, SERVICE),
        spec: Some(ServiceSpec {
            selector: Some(labels()),
            ports: Some(vec![port("https", 443, "https"), port("metrics", 8080, "admin")]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Conversions are asked of replicas that are not ready yet, too: they need nothing of the cluster, and a replica is not ready before it has
/// listed sets, which the API server cannot give before those that are stored in the older version are converted.
pub(super) fn conversion_service(rendering: &Rendering) -> Service {
    let whole = service(rendering);
    let spec = whole.spec.map(|spec| ServiceSpec {
        publish_not_ready_addresses: Some(true),
        ports: spec.ports.map(|ports| ports.into_iter().filter(|port| port.port == 443).collect()),
        ..spec
    });
    Service { metadata: own(rendering, CONVERSION_SERVICE), spec, ..whole }
}

pub(super) fn deployment(rendering: &Rendering) -> Deployment {
    let rolling_update = RollingUpdateDeployment { max_surge: Some(IntOrString::Int(1)), max_unavailable: Some(IntOrString::Int(0)) };
    Deployment {
        metadata: own(rendering, NAME),
        spec: DeploymentSpec {
            replicas: Some(2),
            selector: LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() },
            strategy: Some(DeploymentStrategy { rolling_update: Some(rolling_update), type_: Some("RollingUpdate".to_owned()) }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels()), ..ObjectMeta::default() }),
                spec: Some(pod(rendering)),
            },
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

/// A drained node must not take the last replica with it.
pub(super) fn disruption_budget(rendering: &Rendering) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: own(rendering, NAME),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

/// A class of our own: those of the cluster are admitted outside `kube-system` only where a quota says so.
pub(super) fn priority_class() -> PriorityClass {
    PriorityClass {
        metadata: cluster_wide(NAME),
        value: Some(PRIORITY),
        global_default: Some(false),
        preemption_policy: Some("PreemptLowerPriority".to_owned()),
        description: Some("For Outrigger alone: pods are made, evicted and deleted with its consent.".to_owned()),
    }
}

fn pod(rendering: &Rendering) -> PodSpec {
    PodSpec {
        service_account_name: Some(NAME.to_owned()),
        automount_service_account_token: Some(true),
        priority_class_name: Some(NAME.to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        containers: vec![container(rendering)],
        topology_spread_constraints: Some(["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(apart).into()),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(NOBODY),
            run_as_group: Some(NOBODY),
            fs_group: Some(NOBODY),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

fn container(rendering: &Rendering) -> Container {
    Container {
        name: NAME.to_owned(),
        image: Some(rendering.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(vec!["serve".to_owned()]),
        env: Some(vec![of_the_pod("POD_NAME", "metadata.name"), of_the_pod("POD_NAMESPACE", "metadata.namespace")]),
        ports: Some(vec![port("https", 9443), port("admin", 8080)]),
        // Two minutes to get a certificate and to open its doors; what it has to list first is for readiness alone.
        startup_probe: Some(Probe { failure_threshold: Some(60), ..probe("/livez", 2, 2) }),
        liveness_probe: Some(probe("/livez", 10, 5)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(&[("cpu", "100m"), ("memory", "64Mi")])),
            // No limit on the processor: throttled admission is slow pods everywhere.
            limits: Some(quantities(&[("memory", "512Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn of_the_pod(variable: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.to_owned(), ..ObjectFieldSelector::default() };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: variable.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort { name: Some(name.to_owned()), container_port: number, ..ContainerPort::default() }
}

/// Asked every `period` seconds; failed if not answered in `patience` seconds.
fn probe(path: &str, period: i32, patience: i32) -> Probe {
    let get = HTTPGetAction { path: Some(path.to_owned()), port: IntOrString::String("admin".to_owned()), ..HTTPGetAction::default() };
    Probe { http_get: Some(get), period_seconds: Some(period), timeout_seconds: Some(patience), ..Probe::default() }
}

/// Replicas are kept on different nodes and in different zones where there are such.
fn apart(topology_key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        topology_key: topology_key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() }),
        ..TopologySpreadConstraint::default()
    }
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|&(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect()
}

fn labels() -> BTreeMap<String, String> {
    [("app.kubernetes.io/name".to_owned(), NAME.to_owned())].into()
}
