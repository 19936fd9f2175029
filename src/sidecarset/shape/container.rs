use super::{
    Field,
    Kind::{Flag, Int32, Int64, IntOrText, List, Map, Quantity, Record, Text},
    always, filled, given, or_null,
};

/// A container.
pub const CONTAINER: &[Field] = &[
    always("name", Text),
    filled("image", Text),
    filled("command", List(&Text)),
    filled("args", List(&Text)),
    filled("workingDir", Text),
    filled("ports", List(&Record(PORT))),
    filled("envFrom", List(&Record(ENV_FROM))),
    filled("env", List(&Record(ENV))),
    always("resources", Record(RESOURCES)),
    filled("resizePolicy", List(&Record(RESIZE))),
    given("restartPolicy", Text),
    filled("volumeMounts", List(&Record(MOUNT))),
    filled("volumeDevices", List(&Record(DEVICE))),
    given("livenessProbe", Record(PROBE)),
    given("readinessProbe", Record(PROBE)),
    given("startupProbe", Record(PROBE)),
    given("lifecycle", Record(LIFECYCLE)),
    filled("terminationMessagePath", Text),
    filled("terminationMessagePolicy", Text),
    filled("imagePullPolicy", Text),
    given("securityContext", Record(SECURITY)),
    filled("stdin", Flag),
    filled("stdinOnce", Flag),
    filled("tty", Flag),
];

/// What a sidecar has beside the members of its container, and behind them.
pub const PLACEMENT: &[Field] = &[
    filled("podInjectPolicy", Text),
    always("upgradeStrategy", Record(UPGRADE)),
    always("shareVolumePolicy", Record(SHARE)),
    given("shareVolumeDevicePolicy", Record(SHARE)),
    filled("transferEnv", List(&Record(TRANSFER))),
    given("resourcesPolicy", Record(RESOURCES_POLICY)),
];

const PORT: &[Field] =
    &[filled("name", Text), filled("hostPort", Int32), always("containerPort", Int32), filled("protocol", Text), filled("hostIP", Text)];

const ENV_FROM: &[Field] =
    &[filled("prefix", Text), given("configMapRef", Record(OPTIONAL_OBJECT)), given("secretRef", Record(OPTIONAL_OBJECT))];

const OPTIONAL_OBJECT: &[Field] = &[filled("name", Text), given("optional", Flag)];

const ENV: &[Field] = &[always("name", Text), filled("value", Text), given("valueFrom", Record(ENV_SOURCE))];

const ENV_SOURCE: &[Field] = &[
    given("fieldRef", Record(FIELD_REF)),
    given("resourceFieldRef", Record(RESOURCE_REF)),
    given("configMapKeyRef", Record(KEY_REF)),
    given("secretKeyRef", Record(KEY_REF)),
];

pub(super) const FIELD_REF: &[Field] = &[filled("apiVersion", Text), always("fieldPath", Text)];

pub(super) const RESOURCE_REF: &[Field] = &[filled("containerName", Text), always("resource", Text), always("divisor", Quantity)];

const KEY_REF: &[Field] = &[filled("name", Text), always("key", Text), given("optional", Flag)];

pub(super) const RESOURCES: &[Field] =
    &[filled("limits", Map(&Quantity)), filled("requests", Map(&Quantity)), filled("claims", List(&Record(CLAIM)))];

const CLAIM: &[Field] = &[always("name", Text), filled("request", Text)];

const RESIZE: &[Field] = &[always("resourceName", Text), always("restartPolicy", Text)];

const MOUNT: &[Field] = &[
    always("name", Text),
    filled("readOnly", Flag),
    given("recursiveReadOnly", Text),
    always("mountPath", Text),
    filled("subPath", Text),
    given("mountPropagation", Text),
    filled("subPathExpr", Text),
];

const DEVICE: &[Field] = &[always("name", Text), always("devicePath", Text)];

const PROBE: &[Field] = &[
    given("exec", Record(EXEC)),
    given("httpGet", Record(HTTP_GET)),
    given("tcpSocket", Record(TCP_SOCKET)),
    given("grpc", Record(GRPC)),
    filled("initialDelaySeconds", Int32),
    filled("timeoutSeconds", Int32),
    filled("periodSeconds", Int32),
    filled("successThreshold", Int32),
    filled("failureThreshold", Int32),
    given("terminationGracePeriodSeconds", Int64),
];

const EXEC: &[Field] = &[filled("command", List(&Text))];

const HTTP_GET: &[Field] = &[
    filled("path", Text),
    always("port", IntOrText),
    filled("host", Text),
    filled("scheme", Text),
    filled("httpHeaders", List(&Record(HEADER))),
];

const HEADER: &[Field] = &[always("name", Text), always("value", Text)];

const TCP_SOCKET: &[Field] = &[always("port", IntOrText), filled("host", Text)];

const GRPC: &[Field] = &[always("port", Int32), or_null("service", Text)];

const LIFECYCLE: &[Field] = &[given("postStart", Record(HOOK)), given("preStop", Record(HOOK))];

const HOOK: &[Field] = &[
    given("exec", Record(EXEC)),
    given("httpGet", Record(HTTP_GET)),
    given("tcpSocket", Record(TCP_SOCKET)),
    given("sleep", Record(&[always("seconds", Int64)])),
];

const SECURITY: &[Field] = &[
    given("capabilities", Record(&[filled("add", List(&Text)), filled("drop", List(&Text))])),
    given("privileged", Flag),
    given("seLinuxOptions", Record(SE_LINUX)),
    given("windowsOptions", Record(WINDOWS)),
    given("runAsUser", Int64),
    given("runAsGroup", Int64),
    given("runAsNonRoot", Flag),
    given("readOnlyRootFilesystem", Flag),
    given("allowPrivilegeEscalation", Flag),
    given("procMount", Text),
    given("seccompProfile", Record(PROFILE)),
    given("appArmorProfile", Record(PROFILE)),
];

const SE_LINUX: &[Field] = &[filled("user", Text), filled("role", Text), filled("type", Text), filled("level", Text)];

const WINDOWS: &[Field] =
    &[given("gmsaCredentialSpecName", Text), given("gmsaCredentialSpec", Text), given("runAsUserName", Text), given("hostProcess", Flag)];

const PROFILE: &[Field] = &[always("type", Text), given("localhostProfile", Text)];

const UPGRADE: &[Field] = &[filled("upgradeType", Text), filled("hotUpgradeEmptyImage", Text)];

const SHARE: &[Field] = &[filled("type", Text)];

const TRANSFER: &[Field] = &[
    filled("sourceContainerName", Text),
    given("sourceContainerNameFrom", Record(&[given("fieldRef", Record(FIELD_REF))])),
    filled("envName", Text),
    filled("envNames", List(&Text)),
];

const RESOURCES_POLICY: &[Field] = &[
    always("targetContainersMode", Text),
    filled("targetContainersNameRegex", Text),
    always("resourcesExpr", Record(&[given("limits", Record(EXPRESSIONS)), given("requests", Record(EXPRESSIONS))])),
];

const EXPRESSIONS: &[Field] = &[filled("cpu", Text), filled("memory", Text)];
