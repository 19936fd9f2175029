use std::{borrow::Cow, collections::BTreeMap};

use super::Json;

/// How deep values may be nested. A pod's annotation comes from anyone, and reading goes down on the stack.
const DEPTH: u8 = 128;

/// What a broken escape stands for, as in Go.
const REPLACEMENT: char = '\u{fffd}';

/// Reads a whole text as one JSON value.
pub(super) fn scan(text: &str) -> Option<Json<'_>> {
    let mut scanner = Scanner { text, at: 0 };
    let value = scanner.value(DEPTH)?;
    scanner.blanks();
    (scanner.at == text.len()).then_some(value)
}

/// The text of a JSON string with its escapes resolved; none if it is no string.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let (character, after) = unescaped(escape)?;
        out.push(character);
        rest = after;
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// The character that an escape, after its backslash, stands for, and what follows it.
fn unescaped(escape: &str) -> Option<(char, &str)> {
    let mut characters = escape.chars();
    let plain = match characters.next()? {
        'u' => return unicode(characters.as_str()),
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    };
    Some((plain, characters.as_str()))
}

/// Halves of a pair that stand alone are replaced.
fn unicode(digits: &str) -> Option<(char, &str)> {
    let (unit, rest) = code_unit(digits)?;
    let second = || rest.strip_prefix("\\u").and_then(code_unit);
    match (unit, second()) {
        (0xd800..0xdc00, Some((low @ 0xdc00..0xe000, rest))) => {
            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(code).unwrap_or(REPLACEMENT), rest))
        }
        _ => Some((char::from_u32(unit).unwrap_or(REPLACEMENT), rest)),
    }
}

fn code_unit(digits: &str) -> Option<(u32, &str)> {
    let (hex, rest) = digits.split_at_checked(4)?;
    let unit = hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok()).flatten()?;
    Some((unit, rest))
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, depth: u8) -> Option<Json<'a>> {
        self.blanks();
        let start = self.at;
        match self.peek()? {
            b'{' => {
                let members = self.members(depth.checked_sub(1)?)?;
                Some(Json::Object(Some(self.since(start)?), members))
            }
            b'[' => {
                let items = self.items(depth.checked_sub(1)?)?;
                Some(Json::Array(Some(self.since(start)?), items))
            }
            b'"' => self.quoted().map(Json::Scalar),
            b'n' => self.word("null").map(|_| Json::Null),
            b't' => self.word("true").map(Json::Scalar),
            b'f' => self.word("false").map(Json::Scalar),
            _ => self.number().map(Json::Scalar),
        }
    }

    /// Of members with the same key the last one counts.
    fn members(&mut self, depth: u8) -> Option<BTreeMap<Cow<'a, str>, Json<'a>>> {
        let mut members = BTreeMap::new();
        self.at += 1;
        self.blanks();
        if self.eat(b'}') {
            return Some(members);
        }
        loop {
            self.blanks();
            let key = string(self.quoted()?)?;
            self.blanks();
            let member = if self.eat(b':') { self.value(depth)? } else { return None };
            members.insert(key, member);
            self.blanks();
            if self.eat(b'}') {
                return Some(members);
            }
            self.eat(b',').then_some(())?;
        }
    }

    fn items(&mut self, depth: u8) -> Option<Vec<Json<'a>>> {
        let mut items = Vec::new();
        self.at += 1;
        self.blanks();
        if self.eat(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value(depth)?);
            self.blanks();
            if self.eat(b']') {
                return Some(items);
            }
            self.eat(b',').then_some(())?;
        }
    }

    /// A string with its quotes.
    fn quoted(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.eat(b'"').then_some(())?;
        loop {
            match self.next()? {
                b'"' => return self.since(start),
                b'\\' => match self.next()? {
                    b'u' => {
                        code_unit(self.text.get(self.at..)?)?;
                        self.at += 4;
                    }
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    _ => return None,
                },
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        self.since(start)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<&'a str> {
        let start = self.at;
        self.text.get(start..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        self.since(start)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }
}
