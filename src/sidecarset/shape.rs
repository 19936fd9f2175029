//! The shape of containers and volumes in the reference's types: which members there are, in which order, and when Go writes them.
//!
//! Our types keep containers and volumes as they came. Where the reference's view of them counts (hashes, the tidy form that
//! defaulting leaves, decoding errors), these tables say what it sees. They stand still at Kubernetes 1.32: a member that is added
//! here changes the hashes of the sets that use it.

mod check;
mod container;
mod tidy;
mod volume;
mod write;

pub use check::{QUANTITY, WrongType, check};
pub use container::{CONTAINER, PLACEMENT};
pub use tidy::tidy;
pub use volume::VOLUME;
pub use write::write;

use serde_json::Value;

/// One member of an object.
#[derive(Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// When Go writes it.
    pub written: Written,
}

/// What a member holds.
#[derive(Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A port, by number or by name.
    IntOrText,
    /// A quantity; always written as a string, in its canonical text.
    Quantity,
    /// An object with these members.
    Record(&'static [Field]),
    /// A list.
    List(&'static Self),
    /// An object with any keys.
    Map(&'static Self),
    /// Anything: not looked into.
    Opaque,
}

/// When Go writes a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written {
    /// Always; what is absent is written as its zero value.
    Always,
    /// Unless it has its zero value (`omitempty` on a plain value).
    IfNotZero,
    /// If it was given, be it empty (`omitempty` on a pointer).
    IfGiven,
    /// Always, `null` if it was not given (a pointer without `omitempty`).
    OrNull,
}

const fn always(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, written: Written::Always }
}

const fn filled(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, written: Written::IfNotZero }
}

const fn given(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, written: Written::IfGiven }
}

const fn or_null(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, written: Written::OrNull }
}

/// Whether Go, having read the value, would hold the zero value. Objects count if they are maps; a record is never empty to Go.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// The text in which a quantity was given: a string, with blanks around it or not, or a number as it is spelled.
pub(super) fn quantity_text(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}
