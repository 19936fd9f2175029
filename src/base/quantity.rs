//! Resource quantities (`500m`, `1Gi`, `1e3`): reading, exact arithmetic, and the text that Kubernetes writes again.
//!
//! A quantity is text with meaning: two spellings of one value hash differently, so this module knows which spellings Kubernetes keeps
//! and which it rewrites. The rules are those of `k8s.io/apimachinery/pkg/api/resource` of Kubernetes 1.32, with one exception: a value
//! past the greatest suffix is written with an exponent (`1e21`), as newer versions do, where 1.32 lost its magnitude.

mod amount;
mod text;

use std::{cmp::Ordering, fmt};

use self::amount::Amount;

/// How a quantity is written. Arithmetic keeps the format of its first operand, unless that is zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Suffixes `n` to `E`, powers of 1000.
    DecimalSI,
    /// Suffixes `Ki` to `Ei`, powers of 1024.
    BinarySI,
    /// An exponent: `12e6`.
    DecimalExponent,
}

/// Why a text is no quantity, in the words of Kubernetes, which clients may look for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuantityError {
    /// Empty, or with characters that belong to neither number nor suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// A suffix without a number.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// None of `n u m k M G T P E Ki Mi Gi Ti Pi Ei` and no exponent.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount of a resource. Compares by value: `1000m` equals `1`.
///
/// Exact from 10⁻⁹ (anything finer is rounded away from zero) through 36 digits; of longer numbers the first 36 digits count.
#[derive(Clone, Debug)]
pub struct Quantity {
    amount: Amount,
    format: Format,
    /// What was read, if Kubernetes would write it again as it was.
    kept: Option<Box<str>>,
}

impl Quantity {
    /// Nothing, as a number without a unit.
    pub const ZERO: Self = Self { amount: Amount::ZERO, format: Format::DecimalSI, kept: None };

    /// Reads a quantity. No blanks are allowed; a decoder trims first, as Kubernetes does.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        text::parse(text)
    }

    /// A quantity of thousandths.
    pub fn from_milli(milli: i128, format: Format) -> Self {
        Self { amount: Amount::new(milli, -3), format, kept: None }
    }

    /// A quantity of whole units.
    pub fn from_units(units: i128, format: Format) -> Self {
        Self { amount: Amount::new(units, 0), format, kept: None }
    }

    /// How this quantity is written when nothing keeps it as it was.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sum. A zero takes over the other's format.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { amount: self.amount.add(other.amount), format, kept: None }
    }

    /// The difference. A zero takes over the other's format.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// The same with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        Self { amount: self.amount.neg(), format: self.format, kept: None }
    }

    /// Whether the value is 0, however it is written.
    pub fn is_zero(&self) -> bool {
        self.amount.is_zero()
    }

    /// Whether the value is below 0.
    pub fn is_negative(&self) -> bool {
        self.amount.is_negative()
    }

    /// The value in thousandths, rounded away from zero; the nearest `i128` if it is greater than those.
    pub fn milli_value(&self) -> i128 {
        self.amount.scaled(-3)
    }

    /// The quantity rounded away from zero to whole thousandths, which is what defaulting does to every resource of a container
    /// (`resource.Quantity.RoundUp(Milli)`). One that is whole already keeps its text.
    #[must_use]
    pub fn round_up_to_milli(&self) -> Self {
        let amount = self.amount.round_up_to(-3);
        if amount == self.amount { self.clone() } else { Self { amount, format: self.format, kept: None } }
    }
}

impl fmt::Display for Quantity {
    /// The text that Kubernetes writes for this quantity.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kept {
            Some(kept) => formatter.write_str(kept),
            None => text::write_canonical(self.amount, self.format, formatter),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.amount == other.amount
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.amount.cmp(&other.amount)
    }
}

#[cfg(test)]
mod tests;
