//! Texts in Go's notation, as they stand in error messages.

use std::fmt::Write;

/// The text as Go's `%q` shows it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        push(&mut out, character);
    }
    out.push('"');
    out
}

fn push(out: &mut String, character: char) {
    // Writing to a String never fails.
    let _ = match character {
        '"' | '\\' => write!(out, "\\{character}"),
        '\u{7}' => write!(out, "\\a"),
        '\u{8}' => write!(out, "\\b"),
        '\u{c}' => write!(out, "\\f"),
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        '\u{b}' => write!(out, "\\v"),
        '\0'..=' ' | '\u{7f}' if character != ' ' => write!(out, "\\x{:02x}", u32::from(character)),
        _ if is_shown(character) => write!(out, "{character}"),
        '\0'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(character)),
        _ => write!(out, "\\U{:08x}", u32::from(character)),
    };
}

/// Whether Go prints the character as it is. (Rust leaves the same ones alone, but for marks that combine with the one before.)
fn is_shown(character: char) -> bool {
    let mut escaped = character.escape_debug();
    (escaped.next() == Some(character) && escaped.next().is_none()) || matches!(character, '\'' | '\u{300}'..='\u{36f}')
}

/// A map of texts as Go's `%#v` shows it.
pub fn text_map<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{}:{}", quoted(key), quoted(value))).collect();
    format!("map[string]string{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, want) in [
            ("plain", r#""plain""#),
            ("it's \"it\"\\", r#""it's \"it\"\\""#),
            ("\t\n\r\u{7}\u{8}\u{b}\u{c}", r#""\t\n\r\a\b\v\f""#),
            ("\0\u{1f}\u{7f}", r#""\x00\x1f\x7f""#),
            ("é\u{301}日", "\"é\u{301}日\""),
            ("\u{a0}\u{200b}\u{e0001}", r#""\u00a0\u200b\U000e0001""#),
        ] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn maps_are_shown_as_go_shows_them() {
        let map: BTreeMap<_, _> = [("b", "2"), ("a", "\"")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(text_map(&map), r#"map[string]string{"a":"\"", "b":"2"}"#);
    }
}
