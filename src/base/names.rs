//! The forms that Kubernetes gives to names, and what it says of a text that does not have its form.
//! (`apimachinery/pkg/util/validation/validation.go`)

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

/// Whether `name` is a DNS label: lower-case letters, digits and `-`, up to 63 bytes, beginning and ending with a letter or digit.
pub fn is_dns1123_label(name: &str) -> bool {
    dns1123_label_problems(name).is_empty()
}

/// Whether `value` may be the value of a label.
pub fn is_label_value(value: &str) -> bool {
    label_value_problems(value).is_empty()
}

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
    (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
    an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
    and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What keeps a text from being a qualified name.
pub fn qualified_name_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        ["", name] => {
            problems.push("prefix part must be non-empty".to_owned());
            *name
        }
        [prefix, name] => {
            problems.extend(dns1123_subdomain_problems(prefix).into_iter().map(|problem| format!("prefix part {problem}")));
            *name
        }
        _ => {
            return vec![format!("a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else {
        problems.extend(too_long(name, 63).map(|problem| format!("name part {problem}")));
    }
    if !is_framed(name, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.')) {
        problems.push(format!("name part {NAME_PART}"));
    }
    problems
}

/// What keeps a text from being the value of a label.
pub fn label_value_problems(value: &str) -> Vec<String> {
    let is_well_formed =
        value.is_empty() || is_framed(value, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'));
    too_long(value, 63).into_iter().chain((!is_well_formed).then(|| LABEL_VALUE.to_owned())).collect()
}

/// What keeps a text from being a DNS label.
pub fn dns1123_label_problems(name: &str) -> Vec<String> {
    let is_well_formed = is_framed(name, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-');
    too_long(name, 63).into_iter().chain((!is_well_formed).then(|| LABEL.to_owned())).collect()
}

/// What keeps a text from being a DNS subdomain.
pub fn dns1123_subdomain_problems(name: &str) -> Vec<String> {
    let is_label = |label: &str| is_framed(label, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), |byte| byte == b'-');
    let is_well_formed = name.split('.').all(is_label);
    too_long(name, 253).into_iter().chain((!is_well_formed).then(|| SUBDOMAIN.to_owned())).collect()
}

fn too_long(text: &str, most: usize) -> Option<String> {
    (text.len() > most).then(|| format!("must be no more than {most} characters"))
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

    #[test]
    fn a_name_has_a_problem_exactly_if_it_is_none() {
        let long = "x".repeat(64);
        for text in
            ["app", "App_1.x", "example.com/app", "", "/", "a/", "/a", "a/b/c", "-a", "a-", "Example.com/a", "a b", "a.b", &long, "日"]
        {
            assert_eq!(qualified_name_problems(text).is_empty(), is_qualified_name(text), "{text}");
            assert_eq!(dns1123_subdomain_problems(text).is_empty(), is_dns1123_subdomain(text), "{text}");
        }
        for (text, label, value) in
            [("a-b", true, true), ("A", false, true), ("", false, true), ("a.b", false, true), ("a b", false, false), (&long, false, false)]
        {
            assert_eq!((is_dns1123_label(text), is_label_value(text)), (label, value), "{text}");
        }
    }
}
