//! Cuts expressions into tokens. Bytes are characters here, those from 0x80 being Latin-1, as in the reference.

use super::ExpressionError;

/// Suffixes that make a number a quantity. Exa is not among them: `E` begins an exponent.
const UNITS: [&[u8]; 11] = [b"m", b"k", b"M", b"G", b"T", b"P", b"Ki", b"Mi", b"Gi", b"Ti", b"Pi"];

/// A piece of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'a> {
    /// Digits and what may follow them; whether they make sense is not yet known.
    Number(&'a [u8]),
    /// The same with a unit.
    Quantity(&'a [u8]),
    /// A variable or a function.
    Name(&'a [u8]),
    /// Any other character.
    Character(u8),
    /// Nothing is left.
    End,
}

/// The reader of an expression.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(expression: &'a str) -> Self {
        Self { text: expression.as_bytes(), position: 0 }
    }

    /// The next token; [`Token::End`] at the end or at a NUL.
    pub(super) fn next(&mut self) -> Token<'a> {
        let rest = self.rest();
        let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
        let rest = rest.get(blanks..).unwrap_or_default();
        let (token, length) = match rest.first().copied() {
            None | Some(0) => (Token::End, 0),
            Some(b'.' | b'0'..=b'9') => {
                let number = prefix(rest, number_length(rest));
                (if has_unit(number) { Token::Quantity(number) } else { Token::Number(number) }, number.len())
            }
            Some(byte) if is_letter(byte) => {
                let name = prefix(rest, rest.iter().take_while(|byte| is_of_name(**byte)).count());
                (Token::Name(name), name.len())
            }
            Some(byte) => (Token::Character(byte), 1),
        };
        self.position = self.position.saturating_add(blanks).saturating_add(length);
        token
    }

    /// The error that the token read last stands where none such may stand.
    pub(super) fn unexpected(&self) -> ExpressionError {
        let read = prefix(self.text, self.position);
        let mut lines = read.split(|byte| *byte == b'\n');
        let line = lines.clone().count();
        let column = lines.next_back().map_or(0, <[u8]>::len).saturating_add(1);
        ExpressionError::Syntax { line, column }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }
}

/// How far a number goes: one dot, one exponent, one percent sign, at last letters. Digits may come after all of them but the letters.
fn number_length(text: &[u8]) -> usize {
    let (mut dot, mut exponent, mut percent) = (false, false, false);
    let mut previous = b'0';
    for (length, byte) in text.iter().copied().enumerate() {
        let after_mark = matches!(previous, b'e' | b'E');
        match byte {
            b'0'..=b'9' => {}
            b'.' if !dot && !exponent && !percent => dot = true,
            b'e' | b'E' if !exponent && !percent => exponent = true,
            b'+' | b'-' if after_mark => {}
            b'%' if !percent => percent = true,
            b'.' | b'e' | b'E' => return length,
            _ if is_letter(byte) && !after_mark => {
                let letters = text.get(length..).unwrap_or_default().iter().take_while(|byte| is_letter(**byte)).count();
                return length.saturating_add(letters);
            }
            _ => return length,
        }
        previous = byte;
    }
    text.len()
}

fn has_unit(number: &[u8]) -> bool {
    let digits = number.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')).count();
    UNITS.iter().any(|unit| Some(*unit) == number.get(digits..))
}

fn prefix(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

fn is_blank(byte: u8) -> bool {
    char::from(byte).is_whitespace()
}

fn is_letter(byte: u8) -> bool {
    char::from(byte).is_alphabetic()
}

fn is_of_name(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit() || byte == b'_'
}
