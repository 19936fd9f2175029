//! What the operators and functions do to numbers and quantities.

use std::fmt;

use super::{ExpressionError, Value};
use crate::base::quantity::{Format, Quantity};

impl Value {
    /// The value as a quantity, a number being cut to thousandths.
    fn quantity(&self) -> Quantity {
        match self {
            Self::Number(number) => Quantity::from_milli(whole(number * 1000.0), Format::DecimalSI),
            Self::Quantity(quantity) => quantity.clone(),
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Self::Number(left + right),
            _ => Self::Quantity(self.quantity().add(&other.quantity())),
        }
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => Self::Number(left - right),
            _ => Self::Quantity(self.quantity().sub(&other.quantity())),
        }
    }

    pub(super) fn times(&self, other: &Self) -> Result<Self, ExpressionError> {
        match (self, other) {
            (Self::Quantity(_), Self::Quantity(_)) => Err(ExpressionError::ProductOfQuantities),
            (Self::Number(left), Self::Number(right)) => Ok(Self::Number(left * right)),
            (Self::Quantity(quantity), Self::Number(factor)) | (Self::Number(factor), Self::Quantity(quantity)) => {
                Ok(Self::Quantity(in_thousandths(quantity, |milli| milli * factor)))
            }
        }
    }

    pub(super) fn over(&self, other: &Self) -> Result<Self, ExpressionError> {
        match (self, other) {
            (_, Self::Quantity(_)) => Err(ExpressionError::DivisionByQuantity),
            (_, Self::Number(0.0)) => Err(ExpressionError::DivisionByZero),
            (Self::Number(left), Self::Number(right)) => Ok(Self::Number(left / right)),
            (Self::Quantity(quantity), Self::Number(divisor)) => Ok(Self::Quantity(in_thousandths(quantity, |milli| milli / divisor))),
        }
    }

    pub(super) fn negated(&self) -> Self {
        match self {
            Self::Number(number) => Self::Number(-number),
            Self::Quantity(quantity) => Self::Quantity(quantity.neg()),
        }
    }

    /// The greater of both, the first of equals.
    pub(super) fn greater(&self, other: &Self) -> Self {
        if let (Self::Number(left), Self::Number(right)) = (self, other) {
            return Self::Number(if left >= right { *left } else { *right });
        }
        let (left, right) = (self.quantity(), other.quantity());
        Self::Quantity(if left >= right { left } else { right })
    }

    /// The lesser of both, the first of equals.
    pub(super) fn lesser(&self, other: &Self) -> Self {
        if let (Self::Number(left), Self::Number(right)) = (self, other) {
            return Self::Number(if left <= right { *left } else { *right });
        }
        let (left, right) = (self.quantity(), other.quantity());
        Self::Quantity(if left <= right { left } else { right })
    }

    pub(super) fn is_negative(&self) -> bool {
        match self {
            Self::Number(number) => *number < 0.0,
            Self::Quantity(quantity) => quantity.is_negative(),
        }
    }
}

impl fmt::Display for Value {
    /// A quantity as Kubernetes writes it, a number as Go's `%g` does.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self {
            Self::Number(number) => *number,
            Self::Quantity(quantity) => return quantity.fmt(formatter),
        };
        let scientific = format!("{number:e}");
        let parts = scientific.split_once('e').and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<i32>().ok()?)));
        match parts {
            Some((mantissa, exponent)) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                write!(formatter, "{mantissa}e{sign}{:02}", exponent.unsigned_abs())
            }
            _ => write!(formatter, "{number}"),
        }
    }
}

/// Cuts off what is behind the point. Numbers out of range become the nearest in range.
#[expect(clippy::cast_possible_truncation, reason = "cutting is what the reference does")]
pub(in crate::sidecarset) fn whole(number: f64) -> i128 {
    number as i128
}

/// Computes with the thousandths of a quantity, in the floating-point arithmetic of the reference, and keeps its format.
#[expect(clippy::cast_precision_loss, reason = "the reference computes so, and its results are to be met exactly")]
fn in_thousandths(quantity: &Quantity, compute: impl FnOnce(f64) -> f64) -> Quantity {
    Quantity::from_milli(whole(compute(quantity.milli_value() as f64)), quantity.format())
}
