//! The spelling of quantities: what is read, what is kept as it was, and how everything else is written.

use std::fmt::{self, Write as _};

use super::{Format, Quantity, QuantityError, amount::Amount};

/// Suffixes with a format, a base and a power of it; `E` alone is a suffix, `E5` an exponent.
const SUFFIXES: [(&str, Format, i64); 16] = [
    ("n", Format::DecimalSI, -9),
    ("u", Format::DecimalSI, -6),
    ("m", Format::DecimalSI, -3),
    ("", Format::DecimalSI, 0),
    ("k", Format::DecimalSI, 3),
    ("M", Format::DecimalSI, 6),
    ("G", Format::DecimalSI, 9),
    ("T", Format::DecimalSI, 12),
    ("P", Format::DecimalSI, 15),
    ("E", Format::DecimalSI, 18),
    ("Ki", Format::BinarySI, 10),
    ("Mi", Format::BinarySI, 20),
    ("Gi", Format::BinarySI, 30),
    ("Ti", Format::BinarySI, 40),
    ("Pi", Format::BinarySI, 50),
    ("Ei", Format::BinarySI, 60),
];
/// Characters of suffixes; which of their sequences mean something is seen later.
const SUFFIX_CHARACTERS: &str = "eEinumkKMGTP";
/// Binary quantities are cut at this when read.
const GREATEST_BINARY: i128 = 0x7fff_ffff_ffff_ffff;
/// More digits than this never reach the short way of reading, which is the one that keeps texts.
const SHORT_DIGITS: usize = 18;

/// A text taken apart, before anything of it is understood.
struct Parts<'a> {
    negative: bool,
    /// Digits before the dot without leading zeros.
    whole: &'a str,
    /// Digits after the dot.
    fraction: &'a str,
    suffix: &'a str,
    /// Whether there was any digit at all.
    has_digits: bool,
}

/// Reads a quantity; see [`Quantity::parse`].
pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Form);
    }
    let parts = split(text)?;
    let (format, power) = meaning(parts.suffix)?;
    let kept = if is_short(&parts, format, power) {
        looks_canonical(&parts, format, power).then(|| text.into())
    } else if parts.has_digits {
        None
    } else {
        return Err(QuantityError::Number);
    };
    let magnitude = magnitude(&parts, format, power);
    // A part of a byte in a binary format would have to be rounded.
    let is_part = format == Format::BinarySI && !magnitude.is_zero() && magnitude < Amount::new(1, 0);
    let format = if is_part { Format::DecimalSI } else { format };
    Ok(Quantity { amount: if parts.negative { magnitude.neg() } else { magnitude }, format, kept })
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, rest) = leading_digits(unsigned);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), leading_digits);
    let tail = suffix.trim_start_matches(|character| SUFFIX_CHARACTERS.contains(character));
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if !leading_digits(tail).1.is_empty() {
        return Err(QuantityError::Form);
    }
    let has_digits = !digits.is_empty() || !fraction.is_empty();
    Ok(Parts { negative: text.starts_with('-'), whole: digits.trim_start_matches('0'), fraction, suffix, has_digits })
}

fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The format that a suffix stands for, and the power of 10 or 2.
fn meaning(suffix: &str) -> Result<(Format, i64), QuantityError> {
    if let Some((_, format, power)) = SUFFIXES.iter().find(|(text, ..)| *text == suffix) {
        return Ok((*format, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let power: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((Format::DecimalExponent, power.into()))
}

/// Whether Kubernetes reads the text the short way, into 64 bits.
fn is_short(parts: &Parts<'_>, format: Format, power: i64) -> bool {
    let whole = parts.whole.len().max(1);
    if format != Format::BinarySI {
        return whole + parts.fraction.len() <= SHORT_DIGITS && scale(parts, power) >= -9;
    }
    // 2^10 is about three digits.
    let room = 14_i64.saturating_sub(power * 3 / 10);
    parts.fraction.is_empty() && i64::try_from(whole).is_ok_and(|digits| digits <= room)
}

/// Exponent of the last digit that was written.
fn scale(parts: &Parts<'_>, power: i64) -> i64 {
    power.saturating_sub(i64::try_from(parts.fraction.len()).unwrap_or(i64::MAX))
}

/// The test by which Kubernetes decides to keep a short text. It is blunter than its own canonical form: `+5` and `1.125` pass.
fn looks_canonical(parts: &Parts<'_>, format: Format, power: i64) -> bool {
    if format == Format::BinarySI {
        return parts.whole.parse::<i64>().is_ok_and(|whole| whole % 8 != 0);
    }
    let ends_in_zeros = parts.whole.chars().chain(parts.fraction.chars()).rev().take(3).filter(|digit| *digit == '0').count() == 3;
    !parts.whole.is_empty() && scale(parts, power) % 3 == 0 && !ends_in_zeros
}

/// The value without its sign.
fn magnitude(parts: &Parts<'_>, format: Format, power: i64) -> Amount {
    let (mantissa, dropped) = leading_mantissa(parts);
    let exponent = dropped.saturating_sub(i64::try_from(parts.fraction.len()).unwrap_or(i64::MAX));
    if format != Format::BinarySI {
        return Amount::new(mantissa, exponent.saturating_add(power));
    }
    let (mantissa, exponent) = times_power_of_two(mantissa, exponent, power);
    Amount::new(mantissa, exponent).min(Amount::new(GREATEST_BINARY, 0))
}

/// The number that the digits before and after the dot make together, and how many of them did not fit: a part of those is rounded up.
fn leading_mantissa(parts: &Parts<'_>) -> (i128, i64) {
    let (mut mantissa, mut dropped, mut rest) = (0_i128, 0_i64, false);
    for digit in parts.whole.bytes().chain(parts.fraction.bytes()).map(|byte| i128::from(byte.saturating_sub(b'0'))) {
        match mantissa.checked_mul(10).and_then(|tens| tens.checked_add(digit)) {
            Some(longer) if dropped == 0 => mantissa = longer,
            _ => {
                dropped = dropped.saturating_add(1);
                rest |= digit != 0;
            }
        }
    }
    (mantissa.saturating_add(i128::from(rest)), dropped)
}

/// Multiplies by 2^`power`, at the cost of the last digits if there are too many.
fn times_power_of_two(mut mantissa: i128, mut exponent: i64, power: i64) -> (i128, i64) {
    let factor = u32::try_from(power).ok().and_then(|power| 2_i128.checked_pow(power)).unwrap_or(1);
    loop {
        if let Some(product) = mantissa.checked_mul(factor) {
            return (product, exponent);
        }
        mantissa = mantissa / 10 + i128::from(mantissa % 10 != 0);
        exponent = exponent.saturating_add(1);
    }
}

/// Writes the canonical text: no fraction, the greatest suffix, no sign but minus.
pub(super) fn write_canonical(amount: Amount, format: Format, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if amount.is_zero() {
        return out.write_char('0');
    }
    // What is small or no whole number is written in decimal, rather than rounded.
    if let (Format::BinarySI, Some(whole)) = (format, amount.whole())
        && whole.unsigned_abs() >= 1024
    {
        return write_binary(whole, out);
    }
    let (mantissa, exponent) = amount.parts();
    let excess = exponent.rem_euclid(3);
    let number = mantissa * [1, 10, 100].get(usize::try_from(excess).unwrap_or_default()).copied().unwrap_or(1);
    let exponent = exponent - excess;
    let suffix = SUFFIXES.iter().find(|(_, format, power)| *format == Format::DecimalSI && *power == exponent);
    match suffix {
        Some((suffix, ..)) if format != Format::DecimalExponent => write!(out, "{number}{suffix}"),
        _ if exponent == 0 => write!(out, "{number}"),
        _ => write!(out, "{number}e{exponent}"),
    }
}

fn write_binary(whole: i128, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let binary = SUFFIXES.iter().filter(|(_, format, _)| *format == Format::BinarySI).map(|(suffix, ..)| *suffix);
    let (mut number, mut suffix) = (whole, "");
    for greater in binary {
        if number % 1024 != 0 {
            break;
        }
        (number, suffix) = (number / 1024, greater);
    }
    write!(out, "{number}{suffix}")
}
