use serde_json::{Map, Value, json};

use super::{super::shape, default_member, inner, items};

/// 0644.
const READABLE: i32 = 420;
const TOKEN_SECONDS: i64 = 3600;

/// Fills in what Kubernetes would fill in, for the kinds of volumes that the reference looks at.
pub(super) fn apply(volume: &mut Map<String, Value>) {
    shape::tidy(shape::VOLUME, volume);
    // A kind of volume that is newer than we are is a source, too.
    if !volume.iter().any(|(member, source)| member != "name" && !source.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(host) = inner(volume, &["hostPath"]) {
        default_member(host, "type", "");
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = inner(volume, &[kind]) {
            default_member(source, "defaultMode", READABLE);
        }
    }
    default_downward(inner(volume, &["downwardAPI"]));
    for source in inner(volume, &["projected"]).into_iter().flat_map(|projected| items(projected, "sources")) {
        default_downward(inner(source, &["downwardAPI"]));
        if let Some(token) = inner(source, &["serviceAccountToken"]) {
            default_member(token, "expirationSeconds", TOKEN_SECONDS);
        }
    }
}

fn default_downward(source: Option<&mut Map<String, Value>>) {
    for item in source.into_iter().flat_map(|source| items(source, "items")) {
        if let Some(field) = inner(item, &["fieldRef"]) {
            default_member(field, "apiVersion", "v1");
        }
    }
}
