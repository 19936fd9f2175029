use serde_json::Value;

use crate::base::{go_json, hash};

/// What the data of a revision says, in a few bytes: equal for equal data. The order of members does not count, and a member that is
/// null is as good as none, so that a revision is known again whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of the data as it is stored.
    pub fn of(data: &Value) -> Self {
        let mut text = String::new();
        write(&mut text, data);
        Self(hash::digest(&text))
    }
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let given = go_json::sorted(members).into_iter().filter(|(_, member)| !member.is_null());
            go_json::write_members(out, given, write);
        }
        // A null in a list has its place there.
        Value::Array(items) => go_json::write_list(out, items, write),
        _ => go_json::write_value(out, value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_is_recorded_whatever_the_order_and_the_nulls() {
        let one = json!({"spec": {"$patch": "replace", "containers": [{"name": "a", "args": null}], "volumes": null}});
        for (other, is_equal) in [
            (json!({"spec": {"volumes": null, "containers": [{"name": "a"}], "$patch": "replace"}}), true),
            (json!({"spec": {"$patch": "replace", "containers": [{"name": "a"}], "initContainers": null}}), true),
            (json!({"spec": {"$patch": "replace", "containers": [{"name": "a"}], "initContainers": []}}), false),
            (json!({"spec": {"$patch": "replace", "containers": [{"name": "a"}, null]}}), false),
            (json!({"spec": {"containers": [{"name": "a"}]}}), false),
            (Value::Null, false),
        ] {
            assert_eq!(Fingerprint::of(&one) == Fingerprint::of(&other), is_equal, "{other}");
        }
        assert_eq!(Fingerprint::of(&json!({"n": 1})), Fingerprint::of(&json!({"n": 1.0})));
    }
}
