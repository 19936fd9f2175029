//! YAML as kubectl reads it (YAML 1.1: `0644` is octal, `on` is true), as JSON values.
//!
//! One thing is kept that JSON has no room for: a plain number with an exponent and no point (`1e3`) stays the text it is.
//! That is how quantities are written, and their spelling shows in pods. And a lone `y` or `n` is a letter, not an answer.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// All documents of a text.
pub(super) fn read(text: &str) -> Result<Vec<Value>, serde_saphyr::Error> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options)?;
    Ok(documents.into_iter().map(|document| plain(document, text)).collect())
}

/// A value whose parts know where they stand.
enum Node {
    Scalar(Value),
    Bool(bool),
    Float(f64),
    List(Vec<Spanned<Self>>),
    Object(Vec<(String, Spanned<Self>)>),
}

fn plain(node: Spanned<Node>, text: &str) -> Value {
    match node.value {
        Node::Scalar(value) => value,
        Node::Bool(value) => match written(&node.defined, text) {
            // What bears an anchor is more than the word.
            Some(word) if word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !is_answer(word) => Value::String(word.to_owned()),
            _ => Value::Bool(value),
        },
        Node::Float(number) => match written(&node.defined, text).filter(|written| is_exponent(written)) {
            Some(written) => Value::String(written.to_owned()),
            None => Number::from_f64(number).map_or(Value::Null, Value::Number),
        },
        Node::List(items) => items.into_iter().map(|item| plain(item, text)).collect(),
        Node::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, plain(value, text))).collect::<Map<_, _>>()),
    }
}

/// Whether a word that may be one says yes or no: written small, large, or with a capital. Of other spellings kubectl makes texts.
fn is_answer(word: &str) -> bool {
    let rest = word.get(1..).unwrap_or_default();
    let is_small = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    !rest.is_empty() && (is_small(rest) || word.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// What stands at a place of the text.
fn written<'t>(place: &Location, text: &'t str) -> Option<&'t str> {
    let span = place.span();
    let from = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    text.get(from..from.checked_add(length)?).map(str::trim)
}

/// Digits, an `e`, perhaps a sign, digits.
fn is_exponent(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(['e', 'E'])
        .is_some_and(|(number, exponent)| digits(number.trim_start_matches(['+', '-'])) && digits(exponent.trim_start_matches(['+', '-'])))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Value::from(value)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Value::String(value.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_kubectl_makes_of_them() {
        let text = "a: 1\nb: 0644\nc: on\nd: '1'\ne: 1.5\nf: 1e3\ng: [2E-2, \"1e3\", ~]\nh: {x: &n 5, y: *n}\ni: |\n  k: 1e3\nj: [y, yes, tRUE, TRUE, Off, oN]\nk: {x: &m true, y: *m}\n";
        let want = json!({"a": 1, "b": 420, "c": true, "d": "1", "e": 1.5, "f": "1e3", "g": ["2E-2", "1e3", null], "h": {"x": 5, "y": 5}, "i": "k: 1e3\n", "j": ["y", true, "tRUE", true, false, "oN"], "k": {"x": true, "y": true}});
        assert_eq!(read(text).unwrap(), [want]);
    }

    #[test]
    fn documents_are_told_apart() {
        assert_eq!(read("a: 1\n---\nb: 2\n").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
    }
}
