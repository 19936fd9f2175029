use super::{
    Field,
    Kind::{Flag, Int32, Int64, List, Map, Opaque, Quantity, Record, Text},
    always,
    container::{FIELD_REF, RESOURCE_REF},
    filled, given, or_null,
};

/// A volume. Sources that have nothing to default and no quantity are not listed, and so stay as they came.
pub const VOLUME: &[Field] = &[
    always("name", Text),
    given("hostPath", Record(&[always("path", Text), given("type", Text)])),
    given("emptyDir", Record(&[filled("medium", Text), given("sizeLimit", Quantity)])),
    given("nfs", Record(&[always("server", Text), always("path", Text), filled("readOnly", Flag)])),
    given("secret", Record(SECRET)),
    given("persistentVolumeClaim", Record(&[always("claimName", Text), filled("readOnly", Flag)])),
    given("configMap", Record(CONFIG_MAP)),
    given("downwardAPI", Record(&[filled("items", List(&Record(DOWNWARD_ITEM))), given("defaultMode", Int32)])),
    given("projected", Record(&[or_null("sources", List(&Record(PROJECTION))), given("defaultMode", Int32)])),
    given("csi", Record(CSI)),
    given("ephemeral", Record(&[given("volumeClaimTemplate", Record(CLAIM_TEMPLATE))])),
    given("image", Record(&[filled("reference", Text), filled("pullPolicy", Text)])),
];

const SECRET: &[Field] =
    &[filled("secretName", Text), filled("items", List(&Record(KEY_TO_PATH))), given("defaultMode", Int32), given("optional", Flag)];

const CONFIG_MAP: &[Field] =
    &[filled("name", Text), filled("items", List(&Record(KEY_TO_PATH))), given("defaultMode", Int32), given("optional", Flag)];

const KEY_TO_PATH: &[Field] = &[always("key", Text), always("path", Text), given("mode", Int32)];

const DOWNWARD_ITEM: &[Field] =
    &[always("path", Text), given("fieldRef", Record(FIELD_REF)), given("resourceFieldRef", Record(RESOURCE_REF)), given("mode", Int32)];

const PROJECTION: &[Field] = &[
    given("secret", Record(OBJECT_ITEMS)),
    given("downwardAPI", Record(&[filled("items", List(&Record(DOWNWARD_ITEM)))])),
    given("configMap", Record(OBJECT_ITEMS)),
    given("serviceAccountToken", Record(&[filled("audience", Text), given("expirationSeconds", Int64), always("path", Text)])),
    given("clusterTrustBundle", Record(TRUST_BUNDLE)),
];

const OBJECT_ITEMS: &[Field] = &[filled("name", Text), filled("items", List(&Record(KEY_TO_PATH))), given("optional", Flag)];

const TRUST_BUNDLE: &[Field] =
    &[given("name", Text), given("signerName", Text), given("labelSelector", Opaque), given("optional", Flag), always("path", Text)];

const CSI: &[Field] = &[
    always("driver", Text),
    given("readOnly", Flag),
    given("fsType", Text),
    filled("volumeAttributes", Map(&Text)),
    given("nodePublishSecretRef", Record(&[filled("name", Text)])),
];

const CLAIM_TEMPLATE: &[Field] = &[always("metadata", Record(&[])), always("spec", Record(CLAIM))];

const CLAIM: &[Field] = &[
    filled("accessModes", List(&Text)),
    always("resources", Record(&[filled("limits", Map(&Quantity)), filled("requests", Map(&Quantity))])),
];
