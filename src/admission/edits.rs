//! Changes to one object, written down as they are decided, and the JSON Patch (RFC 6902) made of them.
//!
//! A patch is never found by comparing two objects: members that this code has never heard of are not in it, so they
//! cannot get lost. Every operation is about the object as the operations before it left it.

mod effects;

use std::fmt::Write as _;

use serde_json::Value;

/// Bytes to begin with: most pods that are changed at all get several containers.
const ROOM: usize = 8 << 10;

/// Where an object's annotations can be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Annotations {
    /// `metadata.annotations` is an object.
    #[default]
    Present,
    /// There is `metadata`, without annotations.
    Absent,
    /// There is no `metadata`.
    NoMetadata,
}

/// Changes to one object.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Edits {
    /// Operations, joined by commas.
    operations: String,
    annotations: Vec<(String, String)>,
    place: Annotations,
}

/// One step of a JSON pointer.
#[derive(Clone, Copy, Debug)]
pub enum Step<'s> {
    /// A member of an object.
    Member(&'s str),
    /// An item of a list.
    Item(usize),
    /// Behind the last item of a list.
    End,
}

impl Edits {
    /// No changes yet, to an object whose annotations are as `place` says.
    pub fn of(place: Annotations) -> Self {
        Self { place, ..Self::default() }
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.annotations.is_empty()
    }

    /// Adds a member, or puts an item in front of the one at this index. An existing member is replaced.
    /// `json` is the value's JSON text.
    pub fn add(&mut self, path: &[Step<'_>], json: &str) {
        self.operation("add", path, json);
    }

    /// Replaces what stands at `path` by the JSON text `json`.
    pub fn replace(&mut self, path: &[Step<'_>], json: &str) {
        self.operation("replace", path, json);
    }

    /// Takes away what stands at `path`, which must be there.
    pub fn remove(&mut self, path: &[Step<'_>]) {
        self.operations.reserve(if self.operations.is_empty() { ROOM } else { 64 });
        begin(&mut self.operations, "remove", path);
        self.operations.push('}');
    }

    /// Gives the member at `path` the value that it has in `after`, if it has another one in `before`, or none. For objects that a
    /// handler reads and writes as a whole: what it does not know must be in `after` as well. If there is no object to put it
    /// in, that object is set.
    pub fn set_member(&mut self, path: &[&str], before: &Value, after: &Value) {
        let (mut old, mut new, mut steps) = (Some(before), Some(after), Vec::with_capacity(path.len()));
        for name in path {
            if old.is_none_or(|parent| !parent.is_object()) {
                break;
            }
            steps.push(Step::Member(name));
            (old, new) = (old.and_then(|parent| parent.get(name)), new.and_then(|parent| parent.get(name)));
        }
        if let Some(new) = new.filter(|new| old != Some(*new)) {
            self.add(&steps, &new.to_string());
        }
    }

    /// Adds `items` (JSON texts) behind the list at `path`, or makes the list if the object has none.
    pub fn append<'j>(&mut self, path: &[Step<'_>], exists: bool, items: impl ExactSizeIterator<Item = &'j str>) {
        if items.len() == 0 {
            return;
        }
        if exists {
            let end: Vec<_> = path.iter().copied().chain([Step::End]).collect();
            for item in items {
                self.add(&end, item);
            }
        } else {
            self.add(path, &list(items));
        }
    }

    /// Gives an annotation a value. Annotations are written last, whatever the order of calls.
    pub fn set_annotation(&mut self, key: &str, value: String) {
        match self.annotations.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.annotations.push((key.to_owned(), value)),
        }
    }

    /// The value that an annotation has been given here.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The patch: a JSON list of operations.
    pub fn to_json_patch(&self) -> String {
        // Notes are JSON themselves: an eighth of their bytes or less has to be escaped.
        let annotations: usize = self.annotations.iter().map(|(key, value)| key.len() + value.len() + value.len() / 4 + 64).sum();
        let mut patch = String::with_capacity(self.operations.len() + annotations + 2);
        patch.push('[');
        patch.push_str(&self.operations);
        self.write_annotations(&mut patch);
        patch.push(']');
        patch
    }

    fn write_annotations(&self, patch: &mut String) {
        let at = [Step::Member("metadata"), Step::Member("annotations")];
        if self.place == Annotations::Present {
            for (key, value) in &self.annotations {
                begin(patch, "add", &[at[0], at[1], Step::Member(key)]);
                patch.push_str(",\"value\":");
                push_quoted(patch, value);
                patch.push('}');
            }
        } else if !self.annotations.is_empty() {
            let has_metadata = self.place == Annotations::Absent;
            begin(patch, "add", if has_metadata { &at } else { &at[..1] });
            patch.push_str(if has_metadata { ",\"value\":" } else { ",\"value\":{\"annotations\":" });
            self.write_members(patch);
            patch.push_str(if has_metadata { "}" } else { "}}" });
        }
    }

    fn write_members(&self, patch: &mut String) {
        for (index, (key, value)) in self.annotations.iter().enumerate() {
            patch.push(if index == 0 { '{' } else { ',' });
            push_quoted(patch, key);
            patch.push(':');
            push_quoted(patch, value);
        }
        patch.push('}');
    }

    fn operation(&mut self, op: &str, path: &[Step<'_>], json: &str) {
        let out = &mut self.operations;
        out.reserve(if out.is_empty() { ROOM.max(json.len() + 64) } else { json.len() + 64 });
        begin(out, op, path);
        out.push_str(",\"value\":");
        out.push_str(json);
        out.push('}');
    }
}

/// Appends an operation up to its path, behind those that are there.
fn begin(out: &mut String, op: &str, path: &[Step<'_>]) {
    out.push_str(if matches!(out.as_str(), "" | "[") { "{\"op\":\"" } else { ",{\"op\":\"" });
    out.push_str(op);
    out.push_str("\",\"path\":\"");
    for step in path {
        out.push('/');
        match step {
            Step::Item(index) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{index}");
            }
            Step::End => out.push('-'),
            Step::Member(name) => push_token(out, name),
        }
    }
    out.push('"');
}

/// A JSON list of JSON texts.
pub fn list<'j>(items: impl Iterator<Item = &'j str>) -> String {
    let mut out = String::from("[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
    out
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    push_quoted(&mut out, text);
    out
}

/// Appends a text as a JSON string.
pub fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// Appends what stands between the quotes of a JSON string. Texts are mostly plain, so runs are copied whole.
fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, behind) = rest.split_at(at);
        out.push_str(plain);
        let mut characters = behind.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\t') => out.push_str("\\t"),
            Some('\r') => out.push_str("\\r"),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// Appends a member's name as a token of a JSON pointer (RFC 6901) inside a JSON string.
fn push_token(out: &mut String, name: &str) {
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        out.push_str(name);
    } else {
        push_escaped(out, &name.replace('~', "~0").replace('/', "~1"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn applied(edits: &Edits, object: &Value) -> Value {
        let mut object = object.clone();
        let patch: json_patch::Patch = serde_json::from_str(&edits.to_json_patch()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        object
    }

    #[test]
    fn annotations_find_their_place_wherever_it_is() {
        for (place, pod) in [
            (Annotations::Present, json!({"metadata": {"annotations": {"old": "1"}}})),
            (Annotations::Absent, json!({"metadata": {"name": "web"}})),
            (Annotations::Absent, json!({"metadata": {"annotations": null}})),
            (Annotations::NoMetadata, json!({"spec": {}})),
        ] {
            let mut edits = Edits::of(place);
            edits.set_annotation("a/b~c", "x".to_owned());
            edits.set_annotation("a/b~c", "\"y\"\n".to_owned());
            assert_eq!(edits.annotation("a/b~c"), Some("\"y\"\n"));
            assert_eq!(applied(&edits, &pod)["metadata"]["annotations"]["a/b~c"], "\"y\"\n", "{pod}");
        }
    }

    #[test]
    fn items_go_behind_a_list_or_make_it() {
        let path = [Step::Member("spec"), Step::Member("volumes")];
        for (exists, pod, want) in
            [(true, json!({"spec": {"volumes": [0]}}), json!([0, 1, 2])), (false, json!({"spec": {}}), json!([1, 2]))]
        {
            let mut edits = Edits::default();
            edits.append(&path, exists, ["1", "2"].into_iter());
            assert_eq!(applied(&edits, &pod)["spec"]["volumes"], want);
        }
    }

    #[test]
    fn a_member_is_set_where_it_differs_and_only_there() {
        let before = json!({"spec": {"a": 1, "b": [2]}, "metadata": {"name": "x"}});
        let after = json!({"spec": {"b": [2], "a": 1}, "metadata": {"name": "x", "annotations": {"k/~": "v"}}, "status": {}});
        let mut edits = Edits::default();
        for path in [&["spec"][..], &["status"], &["metadata", "annotations"], &["nowhere", "at all"]] {
            edits.set_member(path, &before, &after);
        }
        assert_eq!(applied(&edits, &before), after);
        assert_eq!(edits.to_json_patch().matches("\"op\"").count(), 2);
        for before in [json!({}), json!({"metadata": null}), json!({"metadata": {"annotations": null}})] {
            let mut edits = Edits::default();
            edits.set_member(&["metadata", "annotations"], &before, &after);
            assert_eq!(applied(&edits, &before)["metadata"]["annotations"], after["metadata"]["annotations"], "{before}");
        }
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_finds_its_place() {
        let pod = json!({"metadata": {"annotations": {"a/b": "1", "c": "2"}}, "spec": {"x": [1, 2]}});
        let mut edits = Edits::default();
        edits.remove(&[Step::Member("metadata"), Step::Member("annotations"), Step::Member("a/b")]);
        edits.set_annotation("c", "3".to_owned());
        edits.remove(&[Step::Member("spec"), Step::Member("x"), Step::Item(0)]);
        assert!(!edits.is_empty());
        assert_eq!(applied(&edits, &pod), json!({"metadata": {"annotations": {"c": "3"}}, "spec": {"x": [2]}}));
    }

    #[test]
    fn no_change_is_an_empty_patch() {
        let mut edits = Edits::default();
        edits.append(&[Step::Member("spec")], false, [].into_iter());
        assert!(edits.is_empty());
        assert_eq!(edits.to_json_patch(), "[]");
    }

    proptest! {
        #[test]
        fn every_key_and_value_arrives_as_it_was(key in any::<String>(), value in any::<String>()) {
            let mut edits = Edits::default();
            edits.set_annotation(&key, value.clone());
            let pod = applied(&edits, &json!({"metadata": {"annotations": {}}}));
            prop_assert_eq!(&pod["metadata"]["annotations"][&key], &Value::String(value));
        }

        #[test]
        fn inserting_in_front_and_behind_equals_the_model(front in proptest::collection::vec(0..9u8, 0..4), own in proptest::collection::vec(0..9u8, 0..4), behind in proptest::collection::vec(0..9u8, 0..4)) {
            let mut edits = Edits::default();
            for (index, item) in front.iter().enumerate() {
                edits.add(&[Step::Member("l"), Step::Item(index)], &item.to_string());
            }
            let texts: Vec<_> = behind.iter().map(u8::to_string).collect();
            edits.append(&[Step::Member("l")], true, texts.iter().map(String::as_str));
            let model: Vec<_> = front.iter().chain(&own).chain(&behind).copied().collect();
            prop_assert_eq!(&applied(&edits, &json!({"l": own}))["l"], &json!(model));
        }
    }
}
