use proptest::prelude::*;

use super::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What is read, and what is written again. Taken from Kubernetes 1.32 itself, but for the last two.
const TEXTS: [(&str, &str); 54] = [
    ("0", "0"),
    ("-0", "0"),
    ("000", "0"),
    ("0Mi", "0"),
    ("+", "0"),
    (".", "0"),
    ("m", "0"),
    ("Ti", "0"),
    ("1.125", "1.125"),
    ("+5", "+5"),
    ("1e3", "1e3"),
    ("1E3", "1E3"),
    ("1500m", "1500m"),
    ("0.5", "500m"),
    ("1000m", "1"),
    ("1000", "1k"),
    ("1.5", "1500m"),
    ("1.", "1."),
    ("1.G", "1.G"),
    ("1.000500", "1.000500"),
    ("1.0005", "1000500u"),
    ("007", "007"),
    ("10e30", "10e30"),
    ("1e31", "10e30"),
    ("1e-9", "1e-9"),
    ("1E", "1E"),
    ("123456789012345678", "123456789012345678"),
    ("1234567890123456789", "1234567890123456789"),
    ("+1234567890123456789", "1234567890123456789"),
    ("1500Mi", "1500Mi"),
    ("1024Mi", "1Gi"),
    ("8Gi", "8Gi"),
    ("+8Gi", "8Gi"),
    ("+5Gi", "+5Gi"),
    ("+5Pi", "5Pi"),
    ("1025Ki", "1025Ki"),
    ("1.5Gi", "1536Mi"),
    ("0.5Ki", "512"),
    ("1000Ki", "1000Ki"),
    ("1023Ki", "1023Ki"),
    ("0.1Mi", "104857600m"),
    ("100.5Mi", "102912Ki"),
    ("-1Ki", "-1Ki"),
    ("-8Ki", "-8Ki"),
    ("128974848", "128974848"),
    ("134217728", "134217728"),
    ("0.1n", "1n"),
    ("-0.1n", "-1n"),
    ("1e-2000000000", "1e-9"),
    ("8Ei", "9223372036854775807"),
    ("9Ei", "9223372036854775807"),
    ("-9Ei", "-9223372036854775807"),
    ("1000E", "1e21"),
    ("1000000000000000000000", "1e21"),
];

#[test]
fn texts_are_kept_or_rewritten_as_kubernetes_does() {
    for (text, want) in TEXTS {
        assert_eq!(quantity(text).to_string(), want, "{text}");
    }
}

#[test]
fn what_is_no_quantity_is_refused_in_the_words_of_kubernetes() {
    for (text, want) in [
        ("", QuantityError::Form),
        ("x", QuantityError::Form),
        ("1 ", QuantityError::Form),
        ("1Zi", QuantityError::Form),
        ("1..5", QuantityError::Form),
        ("1e3m", QuantityError::Form),
        ("é", QuantityError::Form),
        ("--1", QuantityError::Suffix),
        ("1K", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("5+3", QuantityError::Suffix),
        ("1e9999999999", QuantityError::Suffix),
        ("Ei", QuantityError::Number),
        (".Pi", QuantityError::Number),
        ("e-10", QuantityError::Number),
    ] {
        assert_eq!(Quantity::parse(text).expect_err(text), want, "{text}");
    }
    let form = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    assert_eq!(QuantityError::Form.to_string(), form);
}

#[test]
fn sums_keep_the_left_format_unless_left_is_zero() {
    for (left, right, sum, difference) in [
        ("100m", "1", "1100m", "-900m"),
        ("1Gi", "100M", "1173741824", "973741824"),
        ("100M", "1Gi", "1173741824", "-973741824"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("0Mi", "1k", "1k", "-1k"),
        ("1Gi", "1Gi", "2Gi", "0"),
        ("1e3", "1", "1001", "999"),
        ("1e3", "1k", "2e3", "0"),
        ("+5", "0", "5", "5"),
        ("1Gi", "1m", "1073741824001m", "1073741823999m"),
        ("1000Gi", "500Gi", "1500Gi", "500Gi"),
        ("900", "100Ki", "103300", "-101500"),
        ("1Ki", "1e25", "9765625000000000000001Ki", "-9765624999999999999999Ki"),
        ("1n", "1e100", "10e99", "-10e99"),
        ("999999999999999999E", "1n", "999999999999999999E", "999999999999999999E"),
    ] {
        let (left, right) = (quantity(left), quantity(right));
        assert_eq!((left.add(&right).to_string(), left.sub(&right).to_string()), (sum.into(), difference.into()), "{left} {right}");
    }
}

#[test]
fn quantities_compare_by_value() {
    let ascending =
        ["-1e100", "-1Gi", "-1", "-1n", "0", "1n", "999u", "1m", "999", "1k", "1000001m", "1023", "1Ki", "1M", "8Ei", "1e30", "1e100"];
    for (place, text) in ascending.iter().enumerate() {
        for (other_place, other) in ascending.iter().enumerate() {
            assert_eq!(quantity(text).cmp(&quantity(other)), place.cmp(&other_place), "{text} {other}");
        }
    }
    assert_eq!(quantity("1000m"), quantity("1"));
    assert_eq!(quantity("0"), quantity("0Mi"));
}

#[test]
fn thousandths_are_rounded_away_from_zero() {
    for (text, milli) in [
        ("1", 1000),
        ("1u", 1),
        ("-1u", -1),
        ("1500u", 2),
        ("1Gi", 1_073_741_824_000),
        ("0", 0),
        ("1e100", i128::MAX),
        ("-1e100", i128::MIN),
    ] {
        assert_eq!(quantity(text).milli_value(), milli, "{text}");
    }
    assert_eq!(Quantity::from_milli(2000, Format::BinarySI).to_string(), "2");
    assert_eq!(Quantity::from_milli(322_122_547_200, Format::BinarySI).to_string(), "322122547200m");
    assert_eq!(Quantity::from_units(1 << 31, Format::BinarySI).to_string(), "2Gi");
    assert_eq!(Quantity::from_units(1000, Format::DecimalExponent).to_string(), "1e3");
}

#[test]
fn defaulting_rounds_up_to_thousandths_and_leaves_whole_ones_as_written() {
    for (text, want) in [
        ("1500u", "2m"),
        ("1n", "1m"),
        ("1m", "1m"),
        ("1.125", "1.125"),
        ("1.000500", "1001m"),
        ("0.0001", "1m"),
        ("-1500u", "-2m"),
        ("+5", "+5"),
        ("0.25", "250m"),
        ("1500Mi", "1500Mi"),
        ("1e-9", "1e-3"),
        ("0", "0"),
    ] {
        assert_eq!(quantity(text).round_up_to_milli().to_string(), want, "{text}");
    }
}

#[test]
fn arithmetic_forgets_how_the_operands_were_written() {
    assert_eq!(quantity("+5").neg().neg().to_string(), "5");
    assert_eq!(quantity("1.125").add(&Quantity::ZERO).to_string(), "1125m");
    assert!(quantity("1.5").neg().is_negative() && !quantity("-0").is_negative() && quantity("0Ki").is_zero());
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in ".*") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn written_quantities_are_read_with_the_same_value(text in "[+-]?[0-9]{0,40}(\\.[0-9]{0,12})?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?") {
        if let Ok(quantity) = Quantity::parse(&text) {
            for one in [quantity.clone(), quantity.neg().neg(), quantity.round_up_to_milli(), quantity.add(&Quantity::from_milli(-1, Format::DecimalSI))] {
                let again = Quantity::parse(&one.to_string());
                prop_assert_eq!(again.as_ref(), Ok(&one), "{}", one);
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_order(
        left in "-?[0-9]{1,30}(\\.[0-9]{0,9})?([numkMGTPE]|[KMGTPE]i|e[0-9]{1,2})?",
        right in "-?[0-9]{1,30}(\\.[0-9]{0,9})?([numkMGTPE]|[KMGTPE]i|e[0-9]{1,2})?",
    ) {
        let (left, right) = (quantity(&left), quantity(&right));
        prop_assert_eq!(left.add(&right), right.add(&left));
        prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
    }

    #[test]
    fn short_sums_are_exact(left in -1_000_000_000_000_000_000_i128..1_000_000_000_000_000_000, right in -1_000_000_000_000_000_000_i128..1_000_000_000_000_000_000) {
        let sum = Quantity::from_milli(left, Format::DecimalSI).add(&Quantity::from_milli(right, Format::BinarySI));
        prop_assert_eq!(sum.milli_value(), left + right);
    }
}
