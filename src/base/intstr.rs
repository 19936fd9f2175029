//! Amounts that are written as a number or as a percentage of a whole. The two fields of a rollout read the same text
//! differently, and both readings are kept: objects that are stored today mean what they mean.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{Error, Path, Shown};

/// A text that is not an amount. Who reports it names the object and the field.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a number or {expected}, found `{found}`")]
pub struct AmountError {
    /// The texts that are amounts there.
    pub expected: &'static str,
    /// What stands there.
    pub found: String,
}

/// How many of `whole` pods a partition keeps, from 0 to `whole`. A percentage needs its sign and may have a fraction; it
/// is rounded up, but short of `100%` one of several pods always goes. (Reference: `pkg/util/tools.go`,
/// `CalculatePartitionReplicas`.)
pub fn partition_rounded_up(amount: &IntOrString, whole: usize) -> Result<usize, AmountError> {
    let text = match amount {
        IntOrString::Int(number) => return Ok(usize::try_from(*number).unwrap_or_default().min(whole)),
        IntOrString::String(text) => text,
    };
    let error = || AmountError { expected: "a percentage like `20%`", found: text.clone() };
    let percent: f64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).ok_or_else(error)?;
    if !percent.is_finite() {
        return Err(error());
    }
    let kept = share_rounded_up(percent, whole).min(whole);
    let leaves_none = whole > 1 && kept == whole && text != "100%";
    Ok(if leaves_none { whole - 1 } else { kept })
}

/// How many of `whole` pods may be unavailable. A text is a percentage with or without its sign (`5` is 5 %), without a
/// fraction, and is rounded up; nothing is ever less than 0, and more than the whole is allowed. (Kubernetes:
/// `apimachinery/pkg/util/intstr`, `GetValueFromIntOrPercent`.)
pub fn max_unavailable_rounded_up(amount: &IntOrString, whole: usize) -> Result<usize, AmountError> {
    let text = match amount {
        IntOrString::Int(number) => return Ok(usize::try_from(*number).unwrap_or_default()),
        IntOrString::String(text) => text,
    };
    let error = |_| AmountError { expected: "a whole percentage like `20%`", found: text.clone() };
    let percent: i32 = text.replace('%', "").parse().map_err(error)?;
    Ok(share_rounded_up(f64::from(percent), whole))
}

/// Whether a text is a percentage: digits and a percent sign.
pub fn is_percentage(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What Kubernetes says of an amount that is negative, or a text that is no percentage.
pub fn check(amount: &IntOrString, path: &Path, errors: &mut Vec<Error>) {
    match amount {
        IntOrString::Int(number) if *number < 0 => {
            errors.push(Error::invalid(path, *number, "must be greater than or equal to 0"));
        }
        IntOrString::String(text) if !is_percentage(text) => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' \
                (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            errors.push(Error::invalid(path, Shown::json(amount), detail));
        }
        _ => {}
    }
}

#[expect(clippy::cast_precision_loss, reason = "no cluster has 2^52 pods")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and less than 0 becomes 0")]
fn share_rounded_up(percent: f64, whole: usize) -> usize {
    (percent * whole as f64 / 100.0).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> IntOrString {
        IntOrString::String(text.to_owned())
    }

    #[test]
    fn an_amount_is_a_number_of_pods_or_a_percentage() {
        let said = |amount: IntOrString| {
            let mut errors = Vec::new();
            check(&amount, &Path::new("max"), &mut errors);
            errors.first().map(Error::to_string).unwrap_or_default()
        };
        for good in [IntOrString::Int(0), IntOrString::Int(i32::MAX), text("0%"), text("007%"), text("150%")] {
            assert_eq!(said(good), "");
        }
        assert_eq!(said(IntOrString::Int(-1)), "max: Invalid value: -1: must be greater than or equal to 0");
        for bad in ["5", "", "%", "-1%", "1.5%", "1 %", "many"] {
            assert!(said(text(bad)).starts_with(&format!("max: Invalid value: \"{bad}\": a valid percent string must be")), "{bad}");
        }
    }

    #[test]
    fn a_partition_keeps_as_many_as_in_the_reference() {
        for (whole, amount, kept) in [
            (0, text("99%"), 0),
            (9, text("99%"), 8),
            (10, text("90%"), 9),
            (10, text("1%"), 1),
            (99, text("99%"), 98),
            (99, text("100%"), 99),
            (99, text("0%"), 0),
            (1, text("100%"), 1),
            (10, IntOrString::Int(5), 5),
            (10, IntOrString::Int(1), 1),
            (10, IntOrString::Int(0), 0),
            (10, IntOrString::Int(10), 10),
            (9, text("0.01%"), 1),
            (999, text("99.99%"), 998),
        ] {
            assert_eq!(partition_rounded_up(&amount, whole), Ok(kept), "{amount:?} of {whole}");
        }
    }

    #[test]
    fn a_partition_is_never_less_than_nothing_nor_more_than_all() {
        for (amount, kept) in [
            (IntOrString::Int(-3), 0),
            (IntOrString::Int(30), 10),
            (text("-20%"), 0),
            // Only `100%` itself means all.
            (text("100.0%"), 9),
            (text("250%"), 9),
        ] {
            assert_eq!(partition_rounded_up(&amount, 10), Ok(kept), "{amount:?}");
        }
        assert_eq!(partition_rounded_up(&text("1%"), 1), Ok(1));
    }

    #[test]
    fn a_partition_that_is_no_amount_says_what_was_expected() {
        for wrong in ["illegal", "5", "", "%", "1%%", " 5%", "NaN%", "inf%", "1e999%"] {
            let error = partition_rounded_up(&text(wrong), 10).unwrap_err();
            assert_eq!(error.to_string(), format!("expected a number or a percentage like `20%`, found `{wrong}`"));
        }
    }

    #[test]
    fn max_unavailable_takes_a_text_for_a_percentage_whatever_its_sign() {
        for (amount, of, allowed) in [
            (IntOrString::Int(10), 5, 10),
            (IntOrString::Int(-1), 5, 0),
            (text("5%"), 5, 1),
            (text("5"), 100, 5),
            (text("5%%"), 100, 5),
            (text("0%"), 100, 0),
            (text("-10%"), 100, 0),
            (text("150%"), 10, 15),
            (text("33%"), 10, 4),
        ] {
            assert_eq!(max_unavailable_rounded_up(&amount, of), Ok(allowed), "{amount:?} of {of}");
        }
    }

    #[test]
    fn a_max_unavailable_that_is_no_amount_says_what_was_expected() {
        for wrong in ["many", "", "%", "0.5%", "99999999999%"] {
            let error = max_unavailable_rounded_up(&text(wrong), 10).unwrap_err();
            assert_eq!(error.to_string(), format!("expected a number or a whole percentage like `20%`, found `{wrong}`"));
        }
    }
}
