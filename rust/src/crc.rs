//! CRC-16 with polynomial 0x1021 reflected (0x8408): X-25 of SML and HDLC, and Kermit.
//!
//! Both are one register with different start and end values. Long runs are folded sixteen bytes
//! at a time with carry-less multiplication where the processor has it; short ones, and all of
//! them elsewhere, go through sixteen tables. Both ways give the same register for every input.

const POLYNOMIAL: u16 = 0x8408;

/// `TABLES[k][b]`: the register after byte `b` and `k` zero bytes, starting from zero.
static TABLES: [[u16; 256]; 16] = tables();

const fn tables() -> [[u16; 256]; 16] {
    let mut tables = [[0u16; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            register = if register & 1 == 1 { (register >> 1) ^ POLYNOMIAL } else { register >> 1 };
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 16 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// CRC-16/X-25: initial and final value 0xFFFF. `b"123456789"` gives 0x906E.
pub fn x25(data: &[u8]) -> u16 {
    !advance(0xFFFF, data)
}

/// CRC-16/Kermit: initial and final value 0. `b"123456789"` gives 0x2189.
pub fn kermit(data: &[u8]) -> u16 {
    advance(0, data)
}

/// The register after `data`.
#[inline]
pub fn advance(register: u16, data: &[u8]) -> u16 {
    #[cfg(target_arch = "x86_64")]
    if data.len() >= fold::SHORTEST && fold::available() {
        // SAFETY: `available` has just found the instructions `fold::advance` is compiled for.
        return unsafe { fold::advance(register, data) };
    }
    advance_by_tables(register, data)
}

/// The register after `data`, sixteen bytes a step (slicing-by-16).
pub fn advance_by_tables(mut register: u16, data: &[u8]) -> u16 {
    let (blocks, rest) = data.as_chunks::<16>();
    for block in blocks {
        register = block_by_tables(register, block);
    }
    for &byte in rest {
        register = (register >> 8) ^ TABLES[0][usize::from(register as u8 ^ byte)];
    }
    register
}

#[inline]
fn block_by_tables(register: u16, block: &[u8; 16]) -> u16 {
    let mut sum =
        TABLES[15][usize::from(block[0] ^ register as u8)] ^ TABLES[14][usize::from(block[1] ^ (register >> 8) as u8)];
    for at in 2..16 {
        sum ^= TABLES[15 - at][usize::from(block[at])];
    }
    sum
}

/// Folding by carry-less multiplication, after Gopal et al., "Fast CRC Computation for Generic
/// Polynomials Using PCLMULQDQ" (Intel, 2009), for a reflected 16-bit polynomial.
///
/// A vector is a polynomial whose highest coefficient is bit 0. To move it D bits up, its low half
/// is multiplied by x^(D+63) mod P and its high half by x^(D-1) mod P: the product of reflected
/// operands is one bit short, which the -1 repairs.
#[cfg(target_arch = "x86_64")]
pub mod fold {
    use super::{POLYNOMIAL, block_by_tables};
    use core::arch::x86_64::*;

    /// Below this the tables are faster, and the start value might not fit the first two blocks.
    pub const SHORTEST: usize = 32;

    #[inline]
    pub fn available() -> bool {
        std::arch::is_x86_feature_detected!("pclmulqdq") && std::arch::is_x86_feature_detected!("ssse3")
    }

    /// x^`power` mod P, reflected, in the top 16 bits of a reflected 64-bit operand.
    const fn factor(power: u32) -> i64 {
        let mut residue: u16 = 0x8000; // x^0 reflected
        let mut step = 0;
        while step < power {
            residue = if residue & 1 == 1 { (residue >> 1) ^ POLYNOMIAL } else { residue >> 1 };
            step += 1;
        }
        ((residue as u64) << 48) as i64
    }

    const LOW_512: i64 = factor(512 + 63);
    const HIGH_512: i64 = factor(512 - 1);
    const LOW_128: i64 = factor(128 + 63);
    const HIGH_128: i64 = factor(128 - 1);

    /// A window on this slides one data block `pad` bytes to the right; 0x80 makes a zero byte.
    static SLIDE: [u8; 32] = {
        let mut slide = [0x80; 32];
        let mut at = 0;
        while at < 16 {
            slide[16 + at] = at as u8;
            at += 1;
        }
        slide
    };

    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    fn folded(vector: __m128i, factors: __m128i, next: __m128i) -> __m128i {
        let low = _mm_clmulepi64_si128::<0x00>(vector, factors);
        let high = _mm_clmulepi64_si128::<0x11>(vector, factors);
        _mm_xor_si128(_mm_xor_si128(low, high), next)
    }

    /// The register after `data`, which is at least `SHORTEST` bytes long.
    ///
    /// # Safety
    /// Only where `available()`; the compiler asks for it outside functions of the same features.
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    pub fn advance(register: u16, data: &[u8]) -> u16 {
        debug_assert!(data.len() >= SHORTEST);
        let load = |at: usize| {
            let block: &[u8; 16] = data[at..at + 16].try_into().expect("sixteen bytes");
            // SAFETY: `block` is sixteen readable bytes; the load needs no alignment.
            unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
        };
        // Zeros in front change nothing once the start value is part of the data, so the odd
        // bytes come first, pushed to the right end of a block, and whole blocks follow.
        let odd = data.len() % 16;
        let (mut vector, mut at);
        if odd < 2 {
            // One byte alone would tear the start value apart: it goes through the table.
            let register = super::advance_by_tables(register, &data[..odd]);
            vector = _mm_xor_si128(load(odd), _mm_cvtsi32_si128(i32::from(register)));
            at = odd + 16;
        } else {
            // SAFETY: 16 bytes from `odd` ≤ 15 on lie within the 32 of SLIDE.
            let slide = unsafe { _mm_loadu_si128(SLIDE.as_ptr().add(odd).cast()) };
            let start = _mm_cvtsi32_si128(i32::from(register));
            vector = _mm_shuffle_epi8(_mm_xor_si128(load(0), start), slide);
            at = odd;
        }
        let by_128 = _mm_set_epi64x(HIGH_128, LOW_128);
        if data.len() - at >= 48 {
            let by_512 = _mm_set_epi64x(HIGH_512, LOW_512);
            let mut lanes = [vector, load(at), load(at + 16), load(at + 32)];
            at += 48;
            while data.len() - at >= 64 {
                for (index, lane) in lanes.iter_mut().enumerate() {
                    *lane = folded(*lane, by_512, load(at + 16 * index));
                }
                at += 64;
            }
            vector = lanes[0];
            for lane in &lanes[1..] {
                vector = folded(vector, by_128, *lane);
            }
        }
        while at < data.len() {
            vector = folded(vector, by_128, load(at));
            at += 16;
        }
        let mut rest = [0u8; 16];
        // SAFETY: `rest` is sixteen writable bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(rest.as_mut_ptr().cast(), vector) };
        block_by_tables(0, &rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit_by_bit(mut register: u16, data: &[u8]) -> u16 {
        for &byte in data {
            register ^= u16::from(byte);
            for _ in 0..8 {
                register = (register >> 1) ^ if register & 1 == 1 { POLYNOMIAL } else { 0 };
            }
        }
        register
    }

    #[test]
    fn check_values_of_the_catalogue() {
        assert_eq!(x25(b"123456789"), 0x906E);
        assert_eq!(kermit(b"123456789"), 0x2189);
    }

    #[test]
    fn every_length_and_start_agrees_with_the_definition() {
        let data: Vec<u8> = (0u32..700).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for length in 0..data.len() {
            for register in [0, 0xFFFF, 0x1234] {
                let expected = bit_by_bit(register, &data[..length]);
                assert_eq!(advance(register, &data[..length]), expected, "length {length}");
                assert_eq!(advance_by_tables(register, &data[..length]), expected, "length {length}");
            }
        }
    }

    #[test]
    fn data_with_its_own_checksum_leaves_the_residue() {
        let mut data = b"a telegram of some length, longer than two blocks".to_vec();
        let crc = x25(&data);
        data.extend(crc.to_le_bytes());
        assert_eq!(advance(0xFFFF, &data), 0xF0B8);
    }
}
