//! Base 64 (RFC 4648 §4), as `!binary` uses it.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `bytes` on one line, padded.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |sum, (at, byte)| sum | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            if digit <= chunk.len() {
                let index = (group >> (18 - 6 * digit)) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The bytes that `text` stands for. As in Ruby, whatever is not of the alphabet is skipped
/// (line breaks above all), and the first `=` ends it.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut bits) = (0_u32, 0_u32);
    for character in text.bytes().take_while(|byte| *byte != b'=') {
        let Some(digit) = digit(character) else { continue };
        group = (group << 6 | digit) & 0xFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 0xFF) as u8);
        }
    }
    bytes
}

fn digit(character: u8) -> Option<u32> {
    let (first, base) = match character {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => return Some(62),
        b'/' => return Some(63),
        _ => return None,
    };
    Some(u32::from(character - first) + base)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn the_samples_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text), bytes.as_bytes());
        }
    }

    #[test]
    fn every_byte_survives_at_every_place() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(37) ^ length).collect();
            assert_eq!(decode(&encode(&bytes)), bytes);
        }
    }

    #[test]
    fn line_breaks_are_skipped_and_a_stub_is_dropped() {
        assert_eq!(decode("Zm\n 9v\n"), b"foo");
        assert_eq!(decode("Zm9vY"), b"foo");
        assert_eq!(decode("Zg==Zg=="), b"f");
    }
}
