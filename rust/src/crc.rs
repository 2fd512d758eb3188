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
    let [low, high] = register.to_le_bytes();
    let of = |at: usize, byte: u8| TABLES[15 - at][usize::from(byte)];
    // Summed as a tree: a chain of sixteen would wait for each sum in turn.
    let quarter = |at: usize| {
        (of(at, block[at]) ^ of(at + 1, block[at + 1])) ^ (of(at + 2, block[at + 2]) ^ of(at + 3, block[at + 3]))
    };
    let first = (of(0, block[0] ^ low) ^ of(1, block[1] ^ high)) ^ (of(2, block[2]) ^ of(3, block[3]));
    (first ^ quarter(4)) ^ (quarter(8) ^ quarter(12))
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

    /// What moves a vector up by `BITS`: a factor for its high half, one for its low half.
    #[inline]
    #[target_feature(enable = "pclmulqdq,ssse3")]
    fn by<const BITS: u32>() -> __m128i {
        _mm_set_epi64x(const { factor(BITS - 1) }, const { factor(BITS + 63) })
    }

    /// A window from 16 - n on slides a block n bytes to the right; 0x80 makes a zero byte.
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
    fn block(bytes: &[u8], at: usize) -> __m128i {
        let block: &[u8; 16] = bytes[at..at + 16].try_into().expect("sixteen bytes");
        // SAFETY: sixteen readable bytes; the load needs no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

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
        if data.len() % 16 == 1 {
            // One byte alone in its block would tear the start value apart.
            let register = super::advance_by_tables(register, &data[..1]);
            return if data.len() > SHORTEST {
                advance(register, &data[1..])
            } else {
                super::advance_by_tables(register, &data[1..])
            };
        }
        // Zeros in front change nothing once the start value is part of the data. So the data is
        // thought of as whole groups of four blocks with the missing bytes zero in front: in the
        // first group a block that begins before the data slides to the right.
        let (head, groups) = data.split_at((data.len() - 1) % 64 + 1);
        let (groups, _) = groups.as_chunks::<64>();
        let start = _mm_cvtsi32_si128(i32::from(register));
        let mut lanes = [_mm_setzero_si128(); 4];
        for (index, lane) in lanes.iter_mut().enumerate() {
            let missing = (64 - 16 * index).saturating_sub(head.len()).min(16);
            let begins = (head.len() + 16 * index).saturating_sub(64);
            let first = if begins == 0 { start } else { _mm_setzero_si128() };
            let bytes = _mm_xor_si128(block(data, begins), first);
            *lane = _mm_shuffle_epi8(bytes, block(&SLIDE, 16 - missing));
        }
        for group in groups {
            for (index, lane) in lanes.iter_mut().enumerate() {
                *lane = folded(*lane, by::<512>(), block(group, 16 * index));
            }
        }
        let [one, two, three, four] = lanes;
        let vector = folded(one, by::<384>(), folded(two, by::<256>(), folded(three, by::<128>(), four)));
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
