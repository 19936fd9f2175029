//! Hashes that may stand in names and labels.

use sha2::{Digest, Sha256};

/// What each half byte becomes: no vowels, so that no words arise, and no digits that look like letters. 0 and 15 share a character,
/// which is how the reference has it.
const SAFE: [char; 16] = ['4', '5', '6', '7', '8', '9', 'b', 'c', 'd', 'f', 'v', 'w', 'x', 'z', '2', '4'];

/// SHA-256 of the text, as 64 characters. The same in every process and version, and the same as the reference's.
pub fn stable(text: &str) -> String {
    digest(text).iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| SAFE.get(usize::from(half))).collect()
}

/// SHA-256 of the text, to be compared with others.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// FNV-1 of 32 bits over the parts, one behind the other, as a decimal number in safe characters: what stands behind the dash in the
/// names of ControllerRevisions. (`pkg/controller/history` and `SafeEncodeString` of Kubernetes)
pub fn short(parts: &[&str]) -> String {
    const OFFSET: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let bytes = parts.iter().flat_map(|part| part.bytes());
    let number = bytes.fold(OFFSET, |hash, byte| hash.wrapping_mul(PRIME) ^ u32::from(byte));
    number.to_string().bytes().filter_map(|digit| SAFE.get(usize::from(digit.wrapping_sub(b'0')))).collect()
}

/// An id in the form of a UUID, of what makes it unlike all others. (RFC 9562, version 8)
pub fn uuid(of: &str) -> String {
    let digest = Sha256::digest(of.as_bytes());
    let (first, _) = digest.split_at(16);
    let number = first.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let number = number & !(0xf << 76) & !(0b11 << 62) | (0x8 << 76) | (0b10 << 62);
    let hex = format!("{number:032x}");
    let mut out = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if [8, 12, 16, 20].contains(&index) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_hashes_are_those_of_kubernetes() {
        assert_eq!(short(&["{}", "10"]), "7f9c96b658");
        assert_eq!(short(&["{}1", "0"]), short(&["{}", "10"]));
        // FNV-1 of nothing is its offset, 2166136261.
        assert_eq!(short(&[]), "65bb57b6b5");
    }

    #[test]
    fn hashes_are_those_of_the_reference() {
        for (text, want) in [
            (r#"{"containers":null}"#, "x5vwx9w6vv4dv72c9w4c2f6v74fbwx545b45bbfz6z2dvf8w887xw86fvcb4cf48"),
            (r#"{"containers":[]}"#, "5662x672v59974vdzvf4bdfwc4v526wx5w7884vx5c7fc2f246v484v5988xb9z7"),
        ] {
            assert_eq!(stable(text), want);
        }
    }

    #[test]
    fn an_id_looks_like_a_uuid_and_tells_apart() {
        let (one, other) = (uuid("a"), uuid("b"));
        assert_eq!(one, "ca978112-ca1b-8dca-bac2-31b39a23dc4d");
        assert_ne!(one, other);
    }
}
