//! Amounts that are a number or a percentage of a whole.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use outrigger::base::{
    field::Path,
    intstr::{check, is_percentage, max_unavailable_rounded_up, partition_rounded_up},
};

use super::choices::Choices;

/// Takes two bytes of a whole, and an amount.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let whole = choices.below(65_536);
    let text = choices.rest();
    let amount = text.parse::<i32>().map_or_else(|_| IntOrString::String(text.clone()), IntOrString::Int);
    let mut problems = Vec::new();
    check(&amount, &Path::new("amount"), &mut problems);
    let kept = partition_rounded_up(&amount, whole);
    assert!(kept.is_err() || kept.is_ok_and(|kept| kept <= whole), "{text} of {whole}");
    let gone = max_unavailable_rounded_up(&amount, whole);
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<i32>().ok());
    if let (Some(percent), true) = (percent, is_percentage(&text)) {
        let exact = (i64::from(percent) * i64::try_from(whole).unwrap() + 99) / 100;
        assert_eq!(gone.ok().and_then(|gone| i64::try_from(gone).ok()), Some(exact), "{text} of {whole}");
        assert!(problems.is_empty(), "{text}");
    }
    if let IntOrString::Int(number) = amount {
        assert_eq!(problems.is_empty(), number >= 0);
    }
}
