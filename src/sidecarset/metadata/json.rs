//! JSON that remembers how it was written: what a merge does not touch keeps its order and spelling.

mod scan;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use crate::base::go_json;

/// A JSON value as a piece of text. Objects and arrays have their text as long as they are as they were written.
#[derive(Clone, Debug)]
pub(super) enum Json<'a> {
    Null,
    /// A string, a number, `true` or `false`, as written.
    Scalar(&'a str),
    Array(Option<&'a str>, Vec<Self>),
    Object(Option<&'a str>, BTreeMap<Cow<'a, str>, Self>),
}

impl<'a> Json<'a> {
    /// Reads a text; none if it is not JSON or nested too deeply.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        scan::scan(text)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is an object or an array.
    pub(super) fn is_structured(&self) -> bool {
        matches!(self, Self::Array(..) | Self::Object(..))
    }

    /// This value with a patch merged into it. Where both are objects, the result is spelled anew, sorted. What is new loses its nulls,
    /// but for what takes the place of an object.
    pub(super) fn merged(self, patch: Self) -> Self {
        match (self, patch) {
            (Self::Object(_, mut members), Self::Object(_, patches)) => {
                for (key, patch) in patches {
                    merge_member(&mut members, key, patch);
                }
                Self::Object(None, members)
            }
            (_, patch) => patch.pruned(),
        }
    }

    /// This value, opened, without null members at any depth; nulls in arrays stay.
    fn pruned(self) -> Self {
        match self {
            Self::Object(_, members) => Self::Object(
                None,
                members.into_iter().filter(|(_, member)| !member.is_null()).map(|(key, member)| (key, member.pruned())).collect(),
            ),
            Self::Array(_, items) => Self::Array(None, items.into_iter().map(Self::pruned).collect()),
            scalar => scalar,
        }
    }

    /// Whether both say the same: objects have no order, strings may be escaped in different ways. Numbers are compared as written.
    pub(super) fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Scalar(one), Self::Scalar(other)) => {
                one == other || scan::string(one).is_some_and(|text| scan::string(other) == Some(text))
            }
            (Self::Array(_, one), Self::Array(_, other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.means(other))
            }
            (Self::Object(_, one), Self::Object(_, other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|((key, one), (other_key, other))| key == other_key && one.means(other))
            }
            _ => false,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Scalar(text) | Self::Array(Some(text), _) | Self::Object(Some(text), _) => go_json::write_compact(out, text),
            Self::Array(None, items) => go_json::write_list(out, items, |out, item| item.write(out)),
            Self::Object(None, members) => go_json::write_members(out, members, |out, member| member.write(out)),
        }
    }
}

fn merge_member<'a>(members: &mut BTreeMap<Cow<'a, str>, Json<'a>>, key: Cow<'a, str>, patch: Json<'a>) {
    if patch.is_null() {
        members.remove(&key);
        return;
    }
    let merged = match (members.remove(&key), patch) {
        (None | Some(Json::Null), patch) => patch.pruned(),
        (Some(Json::Object(..)), patch) if !matches!(patch, Json::Object(..)) => patch,
        (Some(old), patch) => old.merged(patch),
    };
    members.insert(key, merged);
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        formatter.write_str(&out)
    }
}
