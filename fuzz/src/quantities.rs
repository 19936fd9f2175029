//! Quantities: what is written again is read as the same, and sums come out.

use outrigger::base::quantity::Quantity;

/// Takes texts of quantities, a line each.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut sum = Quantity::ZERO;
    for line in text.lines().take(8) {
        let Ok(one) = Quantity::parse(line) else { continue };
        // Beyond 36 digits Kubernetes' texts are rounded, and so are ours.
        let is_exact = line.len() <= 30 && !line.contains(['e', 'E']);
        let written = one.to_string();
        let again = Quantity::parse(&written).unwrap_or_else(|error| panic!("{line} is written {written}: {error}"));
        if is_exact {
            assert_eq!(one, again, "{line} is written {written}");
            assert_eq!(written, again.to_string(), "{line}");
            assert!(one.sub(&one).is_zero() && one.neg().neg() == one, "{line}");
            assert_eq!(one.is_negative(), one < Quantity::ZERO, "{line}");
            assert!(one.round_up_to_milli() >= one || one.is_negative(), "{line}");
        }
        let (more, other) = (sum.add(&one), one.add(&sum));
        assert_eq!(more, other, "{line}");
        drop((more.to_string(), more.milli_value(), sum.cmp(&one)));
        sum = more;
    }
}
