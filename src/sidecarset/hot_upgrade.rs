//! Hot upgrade: a sidecar stands in the pod twice, one container works and its twin runs an empty image, so that a new
//! version can come up in the twin before the old one goes. (`pkg/control/sidecarcontrol/hotupgrade.go`)

use std::collections::BTreeMap;

use super::{
    inject::{annotate as set, annotation},
    keys::{VERSION_ALT_PREFIX, VERSION_PREFIX, WORKING_HOT_UPGRADE},
};
use crate::{
    admission::edits::{Edits, quoted},
    base::go_json,
    base::pod::Meta,
};

/// One of the two containers, as they are injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// Runs the sidecar's image.
    Working,
    /// Runs the empty image.
    Idle,
}

impl Twin {
    /// Both, in the order in which they stand in the pod.
    pub const BOTH: [Self; 2] = [Self::Working, Self::Idle];

    /// Name of the container.
    pub fn name(self, sidecar: &str) -> String {
        match self {
            Self::Working => format!("{sidecar}-1"),
            Self::Idle => format!("{sidecar}-2"),
        }
    }

    /// The variables, as JSON, by which the container learns its own version and its twin's.
    pub fn env(self, sidecar: &str) -> [String; 2] {
        let container = self.name(sidecar);
        [("SIDECARSET_VERSION", VERSION_PREFIX), ("SIDECARSET_VERSION_ALT", VERSION_ALT_PREFIX)].map(|(name, prefix)| {
            let path = quoted(&format!("metadata.annotations['{prefix}{container}']"));
            format!(r#"{{"name":"{name}","valueFrom":{{"fieldRef":{{"fieldPath":{path}}}}}}}"#)
        })
    }
}

/// Writes which of the twins works, and the versions of both.
pub fn annotate(meta: &Meta<'_>, sidecar: &str, edits: &mut Edits) {
    for twin in Twin::BOTH {
        let container = twin.name(sidecar);
        let [own, other] = if twin == Twin::Working { ["1", "0"] } else { ["0", "1"] };
        set(meta, &format!("{VERSION_PREFIX}{container}"), own.to_owned(), edits);
        set(meta, &format!("{VERSION_ALT_PREFIX}{container}"), other.to_owned(), edits);
    }
    let earlier = annotation(meta, edits, WORKING_HOT_UPGRADE);
    // A text that is no such object counts as none, as in the reference; so does `null`, on which it panics.
    let mut working: BTreeMap<String, String> = earlier.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    working.insert(sidecar.to_owned(), Twin::Working.name(sidecar));
    let mut text = String::new();
    go_json::write_members(&mut text, working, |out, container| go_json::write_string(out, &container));
    set(meta, WORKING_HOT_UPGRADE, text, edits);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_name_with_quotes_does_not_break_out_of_its_json() {
        for json in Twin::Working.env("a\"b\u{0}") {
            let value: Value = serde_json::from_str(&json).unwrap();
            let path = value["valueFrom"]["fieldRef"]["fieldPath"].as_str().unwrap();
            assert!(path.ends_with("/a\"b\u{0}-1']"), "{path}");
        }
    }
}
