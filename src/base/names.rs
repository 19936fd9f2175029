//! The forms that Kubernetes gives to names. (`apimachinery/pkg/util/validation/validation.go`)

/// Whether `key` is a qualified name, as labels and annotations are keyed: an optional DNS subdomain and a slash, then up
/// to 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit.
pub fn is_qualified_name(key: &str) -> bool {
    let mut parts = key.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => is_name_part(name),
        (Some(prefix), Some(name), None) => is_dns1123_subdomain(prefix) && is_name_part(name),
        _ => false,
    }
}

/// Whether `name` is a DNS subdomain: labels of lower-case letters, digits and `-`, joined by dots, up to 253 bytes.
pub fn is_dns1123_subdomain(name: &str) -> bool {
    let is_label = |label: &str| is_framed(label, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-');
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_name_part(name: &str) -> bool {
    name.len() <= 63 && is_framed(name, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether a text is of `inner` and `outer` bytes, with `outer` ones at both ends.
fn is_framed(text: &str, outer: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let ends = text.bytes().next().into_iter().chain(text.bytes().next_back());
    !text.is_empty() && ends.into_iter().all(&outer) && text.bytes().all(|byte| outer(byte) || inner(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_are_told_from_others() {
        for good in ["app", "App_1.x", "example.com/app", "a.b-c.d/x"] {
            assert!(is_qualified_name(good), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "-a", "a-", "Example.com/a", "exa_mple/a", "a b", &"x".repeat(64)] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }
}
