//! Names of images, as Docker reads them.

use std::sync::LazyLock;

use regex::Regex;

/// Longest name, without tag and digest.
const LONGEST: usize = 255;

/// A name, a tag and a digest. Letters of the host may be of any case, those of the path are small.
const FORM: &str = concat!(
    r"^(?:(?P<host>(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?)/)?",
    r"(?P<path>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)",
    r"(?::(?P<tag>[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}))?",
    r"(?:@(?P<digest>sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?$",
);

static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(FORM).ok());

/// Whether the image is the latest of its name: by its tag, or because it has neither tag nor digest. What is no image name is not.
pub fn is_latest(image: &str) -> bool {
    // An image by its bare digest, which is no name.
    if image.len() == 64 && image.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return false;
    }
    let (host, remainder) = split_host(image);
    let name = format!("{host}/{remainder}");
    let Some(parts) = REFERENCE.as_ref().and_then(|form| form.captures(&name)) else { return false };
    let length = parts.name("path").map_or(0, |path| path.end());
    if length > LONGEST {
        return false;
    }
    match parts.name("tag") {
        Some(tag) => tag.as_str() == "latest",
        None => parts.name("digest").is_none(),
    }
}

/// Whether two names mean the same image: hosts, `library/` and `:latest` that Docker would add count as written.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || written_out(one) == written_out(other)
}

/// The digest that an image is pinned by, as `sha256:…`. Also of what a runtime reports as an image's ID, if it names one by its digest.
pub fn digest(image: &str) -> Option<&str> {
    let (_, digest) = image.rsplit_once('@')?;
    let (algorithm, hex) = digest.split_once(':')?;
    (!algorithm.is_empty() && !hex.is_empty()).then_some(digest)
}

/// The image's name without tag and digest, with what Docker would add. A scheme before it, as runtimes report it, does not count.
pub fn repository(image: &str) -> String {
    let name = image.split_once("://").map_or(image, |(_, name)| name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let (host, remainder) = split_host(name);
    let path = match remainder.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => &remainder,
    };
    format!("{host}/{path}")
}

fn written_out(image: &str) -> String {
    let (host, remainder) = split_host(image);
    let has_tag = remainder.contains('@') || remainder.rsplit('/').next().is_some_and(|last| last.contains(':'));
    format!("{host}/{remainder}{}", if has_tag { "" } else { ":latest" })
}

/// The host, which is Docker's own if none is named, and the rest of an image's name.
fn split_host(image: &str) -> (&str, String) {
    let named = image
        .split_once('/')
        .filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost" || first.chars().any(char::is_uppercase));
    match named {
        Some((host, rest)) if host != "docker.io" && host != "index.docker.io" => (host, rest.to_owned()),
        named => {
            let rest = named.map_or(image, |(_, rest)| rest);
            ("docker.io", if rest.contains('/') { rest.to_owned() } else { format!("library/{rest}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_would_complete_alike_are_the_same_image() {
        for (one, other, want) in [
            ("busybox", "docker.io/library/busybox:latest", true),
            ("busybox:2", "docker.io/library/busybox:2", true),
            ("team/log:2", "docker.io/team/log:2", true),
            ("busybox:2", "busybox:3", false),
            ("busybox@sha256:a", "docker.io/library/busybox@sha256:a", true),
            ("registry.example:5000/log", "registry.example:5000/log:latest", true),
            ("registry.example/busybox:2", "busybox:2", false),
        ] {
            assert_eq!(is_same(one, other), want, "{one} {other}");
        }
    }

    #[test]
    fn a_repository_is_what_is_left_without_tag_and_digest() {
        for (image, want) in [
            ("log", "docker.io/library/log"),
            ("team/log:1@sha256:ab", "docker.io/team/log"),
            ("docker-pullable://registry.example:5000/log@sha256:ab", "registry.example:5000/log"),
            ("registry.example:5000/log", "registry.example:5000/log"),
        ] {
            assert_eq!(repository(image), want, "{image}");
        }
    }

    #[test]
    fn a_digest_is_found_in_names_and_in_what_runtimes_report() {
        for (image, want) in [
            ("log@sha256:ab", Some("sha256:ab")),
            ("docker-pullable://team/log@sha256:ab", Some("sha256:ab")),
            ("log:1", None),
            ("sha256:ab", None),
            ("log@", None),
        ] {
            assert_eq!(digest(image), want, "{image}");
        }
    }

    #[test]
    fn an_image_is_the_latest_by_its_tag_or_for_want_of_tag_and_digest() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for (image, want) in [
            ("log", true),
            ("team/log:latest", true),
            ("log:1", false),
            ("log:LATEST", false),
            ("localhost/log", true),
            ("registry.example.com:5000/log", true),
            ("Registry/log", true),
            ("[::1]:5000/log:latest", true),
            ("docker.io/log", true),
            (&format!("log@{digest}"), false),
            (&format!("log:latest@{digest}"), true),
            ("log@sha256:0123", false),
            ("log@md5:0123456789abcdef0123456789abcdef", false),
            ("Team/Log", false),
            ("LOG", false),
            ("::", false),
            (" log", false),
            ("log:", false),
            ("", false),
            ("a__b/c-d.e_f", true),
            ("a___b", false),
            (&"0123456789abcdef".repeat(4), false),
            (&"a".repeat(237), true),
            (&"a".repeat(238), false),
        ] {
            assert_eq!(is_latest(image), want, "{image}");
        }
    }
}
