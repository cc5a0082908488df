//! SHA-1 (RFC 3174), for the `X-Hub-Signature` header that Meta still sends besides the SHA-256 one. It
//! secures nothing here; it is sent so that a receiver that relies on it can be detected.

const BLOCK: usize = 64;

/// HMAC-SHA1 (RFC 2104).
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut padded = [0_u8; BLOCK];
    if key.len() > BLOCK {
        padded[..20].copy_from_slice(&digest(&[key]));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = digest(&[&padded.map(|byte| byte ^ 0x36), message]);
    digest(&[&padded.map(|byte| byte ^ 0x5c), &inner])
}

fn digest(parts: &[&[u8]]) -> [u8; 20] {
    let mut bytes = parts.concat();
    let bits = (bytes.len() as u64) * 8;
    bytes.push(0x80);
    while bytes.len() % BLOCK != 56 {
        bytes.push(0);
    }
    bytes.extend(bits.to_be_bytes());

    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in bytes.chunks_exact(BLOCK) {
        let mixed = rounds(state, block);
        for (word, mixed) in state.iter_mut().zip(mixed) {
            *word = word.wrapping_add(mixed);
        }
    }
    let mut out = [0_u8; 20];
    for (chunk, word) in out.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[expect(clippy::many_single_char_names, reason = "they are the names of RFC 3174")]
fn rounds(mut state: [u32; 5], block: &[u8]) -> [u32; 5] {
    let mut words = [0_u32; 80];
    for (word, chunk) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
    }
    for i in 16..80 {
        words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
    }
    for (i, word) in words.into_iter().enumerate() {
        let [a, b, c, d, e] = state;
        let (mix, constant) = match i {
            0..20 => ((b & c) | (!b & d), 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6_u32),
        };
        let next = [a.rotate_left(5), mix, e, word, constant].into_iter().fold(0, u32::wrapping_add);
        state = [next, a, b.rotate_left(30), c, d];
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_2202_vectors_hold() {
        let long_key = [0xaa_u8; 80];
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex::encode(hmac(key, message)), expected);
        }
    }
}
