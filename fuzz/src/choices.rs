//! Bytes as a row of choices: what is made of them is well-formed, however they look. When there are no more, the first of everything
//! is chosen.

use serde_json::{Map, Value, json};

/// The bytes that are left.
pub(crate) struct Choices<'b>(&'b [u8]);

/// Values where nobody expects them.
const NASTY: [&str; 26] = [
    "null",
    "true",
    "0",
    "-1",
    "1.5e308",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "2147483648",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"%\"",
    "\"100%\"",
    "\"-1%\"",
    "\"99999999999999999999%\"",
    "\"1e400\"",
    "\"/~0~1\"",
    "\"{\\\"a\\\":[1]}\"",
    "\"[[[[[[[[\"",
    "\"2026-01-02T03:04:05Z\"",
    "\"\u{fffd}\u{10ffff}\u{202e}\"",
    "[]",
    "[null]",
    "{}",
    "{\"\":{\"\":null}}",
];

impl<'b> Choices<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `end`, or 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let wide = if end > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (wide | usize::from(self.byte())).checked_rem(end).unwrap_or_default()
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Some of these, in their order.
    pub(crate) fn some<T: Copy>(&mut self, all: &[T]) -> Vec<T> {
        all.iter().copied().filter(|_| self.yes()).collect()
    }

    /// Up to `most` of what `make` makes.
    pub(crate) fn several<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    /// A short text of any characters.
    pub(crate) fn text(&mut self) -> String {
        let length = self.below(12).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    /// All that is left, as a text.
    pub(crate) fn rest(&mut self) -> String {
        String::from_utf8_lossy(std::mem::take(&mut self.0)).into_owned()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn nasty(&mut self) -> Value {
        match self.below(NASTY.len() + 1).checked_sub(1) {
            Some(index) => serde_json::from_str(NASTY[index]).unwrap(),
            None => Value::String(self.text()),
        }
    }

    /// Any value of few members and little depth, with these keys.
    pub(crate) fn value(&mut self, keys: &[&str], depth: usize) -> Value {
        match self.below(if depth == 0 { 2 } else { 4 }) {
            0 => self.pick(&[json!("a"), json!("b"), json!(1), json!(2)].each_ref()).clone(),
            1 => self.nasty(),
            2 => Value::Array(self.several(3, |choices| choices.value(keys, depth - 1))),
            _ => Value::Object(self.members(keys, depth - 1)),
        }
    }

    /// Some members.
    pub(crate) fn members(&mut self, keys: &[&str], depth: usize) -> Map<String, Value> {
        self.several(5, |choices| (choices.pick(keys).to_owned(), choices.value(keys, depth))).into_iter().collect()
    }

    /// Changes a value at a few places: members go, come, are swapped for others and for what nobody expects.
    pub(crate) fn mutate(&mut self, value: &mut Value) {
        for _ in 0..4 {
            if self.is_over() {
                return;
            }
            let place = self.walk(value);
            match self.below(6) {
                0 | 1 => *place = self.nasty(),
                2 => *place = json!([place.take()]),
                3 => {
                    let name = self.text();
                    let nasty = self.nasty();
                    if let Some(members) = place.as_object_mut() {
                        members.insert(name, nasty);
                    }
                }
                4 => match place {
                    Value::Array(items) => {
                        let copy = items.get(self.below(items.len())).cloned();
                        items.extend(copy);
                    }
                    Value::Object(members) => {
                        let name = members.keys().nth(self.below(members.len())).cloned();
                        name.and_then(|name| members.shift_remove(&name));
                    }
                    Value::String(text) => text.push_str(&self.text()),
                    _ => *place = Value::Null,
                },
                _ => {
                    if let Value::Array(items) = place {
                        items.reverse();
                    }
                }
            }
        }
    }

    /// A place somewhere in a value.
    fn walk<'v>(&mut self, mut value: &'v mut Value) -> &'v mut Value {
        loop {
            let size = match value {
                Value::Object(members) => members.len(),
                Value::Array(items) => items.len(),
                _ => 0,
            };
            // One of its parts, or itself.
            let index = self.below(size + 1);
            if index == size {
                return value;
            }
            value = match value {
                Value::Object(members) => members.values_mut().nth(index).unwrap(),
                Value::Array(items) => &mut items[index],
                plain => return plain,
            };
        }
    }
}
