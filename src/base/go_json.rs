//! JSON text as Go's `encoding/json` writes it: compact, and safe to put into HTML.
//!
//! Hashes are taken of this text, and annotations are compared with it, so every byte counts.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// How many bytes are looked at together for something to escape.
const STRIDE: usize = 16;

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (clean, tail) = rest.split_at_checked(clean_length(rest.as_bytes())).unwrap_or((rest, ""));
        out.push_str(clean);
        let mut following = tail.chars();
        let Some(first) = following.next() else { break };
        write_character(out, first);
        rest = following.as_str();
    }
    out.push('"');
}

/// Appends a value; the members of objects are sorted, as those of Go's maps are.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_list(out, items, write_value),
        Value::Object(members) => {
            write_members(out, sorted(members).into_iter().map(|(key, member)| (key.as_str(), member)), write_value);
        }
    }
}

/// Appends a list of items, each written by `write`.
pub fn write_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    let opened = out.len();
    for item in items {
        if out.len() > opened {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Appends an object with the given members in the given order, each value written by `write`.
pub fn write_members<K: AsRef<str>, T>(out: &mut String, members: impl IntoIterator<Item = (K, T)>, mut write: impl FnMut(&mut String, T)) {
    out.push('{');
    let opened = out.len();
    for (key, member) in members {
        if out.len() > opened {
            out.push(',');
        }
        write_string(out, key.as_ref());
        out.push(':');
        write(out, member);
    }
    out.push('}');
}

/// Appends JSON text that was written by someone else: without blanks, with the HTML characters escaped, and otherwise as it is
/// (number spellings, escapes and the order of members stay). The text must be JSON.
pub fn write_compact(out: &mut String, json: &str) {
    let mut copied = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, character) in json.char_indices() {
        let blank = !in_string && matches!(character, ' ' | '\t' | '\n' | '\r');
        if blank || is_html(character) {
            out.push_str(json.get(copied..at).unwrap_or_default());
            copied = at + character.len_utf8();
            if !blank {
                write_character(out, character);
            }
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    out.push_str(json.get(copied..).unwrap_or_default());
}

/// The members of an object in the order of the bytes of their keys.
pub fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = members.iter().collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
}

/// How many bytes at the beginning may be copied as they are. Whole strides are judged without branches, so that the compiler can
/// take them at once.
fn clean_length(bytes: &[u8]) -> usize {
    let strides = bytes.chunks_exact(STRIDE).take_while(|stride| stride.iter().fold(0, |found, &byte| found | suspicion(byte)) == 0);
    let clean = strides.count() * STRIDE;
    let rest = bytes.get(clean..).unwrap_or_default();
    clean + rest.iter().position(|&byte| suspicion(byte) != 0).unwrap_or(rest.len())
}

/// Not 0 if the byte may begin a character that is escaped. 0xe2 begins U+2028 and U+2029, and many others that are then written as
/// they are.
fn suspicion(byte: u8) -> u8 {
    let marked = [b'"', b'\\', b'<', b'>', b'&', 0xe2].iter().fold(0, |found, &mark| found | u8::from(byte == mark));
    marked | u8::from(byte < 0x20)
}

fn is_html(character: char) -> bool {
    matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

fn write_character(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        _ if character < ' ' || is_html(character) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.push(character),
    }
}

fn write_number(out: &mut String, number: &Number) {
    let _ = match number.as_f64() {
        Some(value) if number.is_f64() => write_float(out, value),
        _ => write!(out, "{number}"),
    };
}

/// Go turns to exponents where a number would get long, and writes their sign.
fn write_float(out: &mut String, value: f64) -> std::fmt::Result {
    let size = value.abs();
    if size >= 1e21 {
        let text = format!("{value:e}");
        out.push_str(&text.replacen('e', "e+", 1));
        return Ok(());
    }
    if size > 0.0 && size < 1e-6 { write!(out, "{value:e}") } else { write!(out, "{value}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn string(text: &str) -> String {
        let mut out = String::new();
        write_string(&mut out, text);
        out
    }

    fn compact(text: &str) -> String {
        let mut out = String::new();
        write_compact(&mut out, text);
        out
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        for (text, want) in [
            ("", r#""""#),
            ("plain, with / and \u{7f}", "\"plain, with / and \u{7f}\""),
            ("a && b > c <d>", r#""a \u0026\u0026 b \u003e c \u003cd\u003e""#),
            ("\"\\", r#""\"\\""#),
            ("\u{8}\u{c}\n\r\t\u{0}\u{1f}", r#""\b\f\n\r\t\u0000\u001f""#),
            ("\u{2028}\u{2029}\u{2027}é🙂", "\"\\u2028\\u2029\u{2027}é🙂\""),
            ("sixteen bytes ok & more than that", r#""sixteen bytes ok \u0026 more than that""#),
        ] {
            assert_eq!(string(text), want);
        }
    }

    #[test]
    fn values_are_compact_with_sorted_members() {
        let mut out = String::new();
        write_value(&mut out, &json!({"b": [1, -2, true, null, "<"], "a": {"d": {}, "c": []}, "": 18_446_744_073_709_551_615_u64}));
        assert_eq!(out, r#"{"":18446744073709551615,"a":{"c":[],"d":{}},"b":[1,-2,true,null,"\u003c"]}"#);
    }

    #[test]
    fn floats_are_spelled_as_go_spells_them() {
        for (value, want) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-2.5e30, "-2.5e+30"),
            (1.5e-7, "1.5e-7"),
            (1e-6, "0.000001"),
        ] {
            let mut out = String::new();
            write_value(&mut out, &json!(value));
            assert_eq!(out, want);
        }
    }

    #[test]
    fn compacting_drops_blanks_outside_strings_and_keeps_spellings() {
        for (text, want) in [
            ("{ \"z\" : 1.0,\t\"a\":\n1e3 }\r", r#"{"z":1.0,"a":1e3}"#),
            (r#"" a \" b \\" "#, r#"" a \" b \\""#),
            (r#"{"<": "\u003C & \/"}"#, r#"{"\u003c":"\u003C \u0026 \/"}"#),
        ] {
            assert_eq!(compact(text), want);
        }
    }

    proptest! {
        #[test]
        fn written_strings_read_back(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&string(&text)).unwrap(), text.clone());
            prop_assert!(!string(&text).contains(is_html));
        }

        #[test]
        fn compacting_a_compact_text_only_escapes(text in any::<String>()) {
            let plain = serde_json::to_string(&json!([text.clone(), {text.clone(): 1}])).unwrap();
            let compacted = compact(&plain);
            prop_assert_eq!(serde_json::from_str::<Value>(&compacted).unwrap(), serde_json::from_str::<Value>(&plain).unwrap());
        }
    }
}
