//! How many pods have to be available. (reference: `pub.md` §9.3)

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{count::Count, index::Need};

/// An amount that cannot be understood.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("spec.{field}: expected a number or a percentage like `20%`, found `{found}`")]
pub struct AmountError {
    /// The field of the spec.
    pub field: &'static str,
    /// What stands there.
    pub found: String,
}

/// How many of the counted pods have to be available.
pub fn desired(need: &Need, count: &Count<'_>) -> Result<i32, AmountError> {
    let needed = needed(need, count.total)?;
    Ok(if count.is_idle {
        0
    } else if count.has_orphans {
        // What collects the pods of a workload that is gone is not to wait for ever.
        needed.min(count.total)
    } else {
        needed
    })
}

/// How many of so many pods are needed. Percentages are rounded up, whatever they are of.
fn needed(need: &Need, total: i32) -> Result<i32, AmountError> {
    let needed = match need {
        Need::MaxUnavailable(most) => i64::from(total) - amount(most, total, "maxUnavailable")?,
        Need::MinAvailable(least) => amount(least, total, "minAvailable")?,
        Need::Nothing => 0,
    };
    Ok(i32::try_from(needed.max(0)).unwrap_or(i32::MAX))
}

fn amount(amount: &IntOrString, total: i32, field: &'static str) -> Result<i64, AmountError> {
    let text = match amount {
        IntOrString::Int(number) => return Ok(i64::from(*number)),
        IntOrString::String(text) => text,
    };
    let percent: Option<i32> = text.strip_suffix('%').and_then(|number| number.parse().ok());
    let percent = percent.ok_or_else(|| AmountError { field, found: text.clone() })?;
    let hundredths = i64::from(percent) * i64::from(total);
    Ok(hundredths / 100 + i64::from(hundredths % 100 > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(text: &str) -> Need {
        Need::MaxUnavailable(IntOrString::String(text.to_owned()))
    }

    fn least(text: &str) -> Need {
        Need::MinAvailable(IntOrString::String(text.to_owned()))
    }

    #[test]
    fn amounts_are_rounded_up_as_in_the_reference() {
        for (total, need, expected) in [
            (10, most("30%"), 7),
            (15, most("10%"), 13),
            (5, most("25%"), 3),
            (1, most("30%"), 0),
            (10, most("0%"), 10),
            (10, Need::MaxUnavailable(IntOrString::Int(0)), 10),
            (10, Need::MaxUnavailable(IntOrString::Int(100)), 0),
            (10, least("80%"), 8),
            (10, least("55%"), 6),
            (5, Need::MinAvailable(IntOrString::Int(100)), 100),
            (0, Need::MinAvailable(IntOrString::Int(3)), 3),
            (0, most("50%"), 0),
            (i32::MAX, least("100%"), i32::MAX),
            (10, Need::Nothing, 0),
        ] {
            assert_eq!(needed(&need, total), Ok(expected), "{need:?} of {total}");
        }
    }

    #[test]
    fn what_is_no_amount_is_named_with_its_field() {
        for text in ["", "20", "%", "a%", "1.5%"] {
            let error = needed(&least(text), 10).unwrap_err();
            assert_eq!(error.to_string(), format!("spec.minAvailable: expected a number or a percentage like `20%`, found `{text}`"));
        }
    }

    #[test]
    fn nothing_is_needed_of_a_target_that_is_gone_and_no_more_than_there_should_be_where_pods_are_orphans() {
        let need = Need::MinAvailable(IntOrString::Int(3));
        let of = |is_idle, has_orphans, total| desired(&need, &Count { total, is_idle, has_orphans, ..Count::default() }).unwrap();
        assert_eq!([of(true, false, 0), of(false, true, 2), of(false, true, 5), of(false, false, 0)], [0, 2, 3, 3]);
    }
}
