//! The language of computed resources.

use outrigger::{
    base::quantity::Quantity,
    sidecarset::expression::{Value, evaluate, unreadable_numbers},
};

/// Takes an expression.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for value in [Value::Number(0.5), Value::Quantity(Quantity::parse("1500m").unwrap()), Value::Quantity(Quantity::ZERO)] {
        let result = evaluate(&text, "cpu", &value);
        // By their words: infinite less infinite is no number, which is unlike itself.
        assert_eq!(format!("{result:?}"), format!("{:?}", evaluate(&text, "cpu", &value)), "{text}");
        if let Ok(result) = result {
            assert!(!result.to_string().is_empty());
        }
    }
    drop(unreadable_numbers(&text));
}
