//! The value of a quantity: a decimal number, exact as far as anyone counts.

use std::cmp::Ordering;

/// Mantissas stay below this, so that they can be multiplied by 100 and added up in an `i128`.
const LIMIT: u128 = 10_u128.pow(36);
/// Kubernetes knows no amount between zero and 10⁻⁹.
const FINEST: i64 = -9;

/// `mantissa` × 10^`exponent`. The mantissa has no factor of ten and zero has exponent 0, hence equal values are equal structures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Amount {
    mantissa: i128,
    exponent: i64,
}

impl Amount {
    /// Nothing.
    pub(super) const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    /// The number, rounded away from zero to 36 digits and to 10⁻⁹: who asks for something gets something.
    pub(super) fn new(mantissa: i128, exponent: i64) -> Self {
        let (mut mantissa, mut exponent) =
            if exponent < FINEST { (divide_away(mantissa, exponent.abs_diff(FINEST)), FINEST) } else { (mantissa, exponent) };
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa.unsigned_abs() >= LIMIT {
            mantissa = divide_away(mantissa, 1);
            exponent = exponent.saturating_add(1);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent = exponent.saturating_add(1);
        }
        Self { mantissa, exponent }
    }

    /// The mantissa and the exponent of ten.
    pub(super) fn parts(self) -> (i128, i64) {
        (self.mantissa, self.exponent)
    }

    pub(super) fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub(super) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    pub(super) fn neg(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }

    /// The sum; of numbers too far apart for 36 digits, the greater one.
    pub(super) fn add(self, other: Self) -> Self {
        let (coarse, fine) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if coarse.is_zero() {
            return fine;
        }
        let (mantissa, exponent) = coarse.refined_towards(fine.exponent);
        let rest = power_of_ten(exponent.abs_diff(fine.exponent)).map_or(0, |power| fine.mantissa / power);
        Self::new(mantissa.saturating_add(rest), exponent)
    }

    /// The value in units of 10^`exponent`, rounded away from zero; the nearest `i128` if there is none so great.
    pub(super) fn scaled(self, exponent: i64) -> i128 {
        let shift = self.exponent.abs_diff(exponent);
        if self.exponent < exponent {
            return divide_away(self.mantissa, shift);
        }
        let limit = match self.mantissa.signum() {
            0 => 0,
            1 => i128::MAX,
            _ => i128::MIN,
        };
        power_of_ten(shift).and_then(|power| self.mantissa.checked_mul(power)).unwrap_or(limit)
    }

    /// The value rounded away from zero to whole units of 10^`exponent`.
    pub(super) fn round_up_to(self, exponent: i64) -> Self {
        if self.exponent >= exponent { self } else { Self::new(divide_away(self.mantissa, self.exponent.abs_diff(exponent)), exponent) }
    }

    /// The value as a whole number, unless it is none or too great.
    pub(super) fn whole(self) -> Option<i128> {
        let power = u64::try_from(self.exponent).ok().and_then(power_of_ten)?;
        self.mantissa.checked_mul(power)
    }

    /// The same value with a smaller exponent, as far as the mantissa has room.
    fn refined_towards(self, target: i64) -> (i128, i64) {
        let (mut mantissa, mut exponent) = (self.mantissa, self.exponent);
        while exponent > target && mantissa.unsigned_abs() < LIMIT {
            mantissa *= 10;
            exponent -= 1;
        }
        (mantissa, exponent)
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        if signs.is_ne() || self.is_zero() {
            return signs;
        }
        if self.exponent < other.exponent {
            return other.cmp(self).reverse();
        }
        let (mantissa, exponent) = self.refined_towards(other.exponent);
        // Where the exponents could not meet, the mantissa has outgrown all others, and so has the number.
        if exponent == other.exponent { mantissa.cmp(&other.mantissa) } else { mantissa.cmp(&0) }
    }
}

/// Divides by a power of ten, away from zero.
fn divide_away(mantissa: i128, digits: u64) -> i128 {
    let Some(power) = power_of_ten(digits) else { return mantissa.signum() };
    mantissa / power + (mantissa % power).signum()
}

fn power_of_ten(digits: u64) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(digits).ok()?)
}
