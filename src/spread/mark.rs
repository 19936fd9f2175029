//! What a pod says of its place. (reference: `workloadspread.md` §5.7 step 6, §6 step 1)

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::admission::edits::push_quoted;

/// Where a pod was placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// The spread.
    pub spread: Arc<str>,
    /// The subset.
    pub subset: Arc<str>,
    /// Under what the pod was noted when it had no name; empty otherwise.
    pub uid: Arc<str>,
}

impl Mark {
    /// Reads the annotation; keys may be in any letters, as the reference takes them. `None` if it says nothing that can be understood.
    pub fn read(text: &str) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_str(text).ok()?;
        let member = |name: &str| {
            let found = members.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            match found {
                None | Some(Value::Null) => Some(Arc::from("")),
                Some(value) => value.as_str().map(Arc::from),
            }
        };
        Some(Self { spread: member("name")?, subset: member("subset")?, uid: member("uid")? })
    }

    /// The annotation.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(48 + self.spread.len() + self.subset.len() + self.uid.len());
        for (key, value) in [("{\"name\":", &self.spread), (",\"subset\":", &self.subset), (",\"uid\":", &self.uid)] {
            if key != ",\"uid\":" || !value.is_empty() {
                out.push_str(key);
                push_quoted(&mut out, value);
            }
        }
        out.push('}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(spread: &str, subset: &str, uid: &str) -> Mark {
        Mark { spread: spread.into(), subset: subset.into(), uid: uid.into() }
    }

    #[test]
    fn the_annotation_is_the_references_byte_for_byte() {
        assert_eq!(mark("ws", "a", "").write(), r#"{"name":"ws","subset":"a"}"#);
        assert_eq!(mark("ws", "a\"b", "7").write(), r#"{"name":"ws","subset":"a\"b","uid":"7"}"#);
    }

    #[test]
    fn keys_may_be_in_any_letters_and_what_is_odd_says_nothing() {
        assert_eq!(Mark::read(r#"{"NAME":"ws","Subset":"a","more":1}"#), Some(mark("ws", "a", "")));
        assert_eq!(Mark::read(r#"{"name":"ws"}"#), Some(mark("ws", "", "")));
        for odd in ["", "null", "ws/a", "[]", r#"{"name":1}"#] {
            assert_eq!(Mark::read(odd), None, "{odd}");
        }
    }
}
