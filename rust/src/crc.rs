//! CRC-16 of SML and HDLC: polynomial 0x1021 reflected (0x8408).

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn update(mut crc: u16, data: &[u8]) -> u16 {
    for &byte in data {
        crc = (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ byte)];
    }
    crc
}

/// CRC-16/X-25: initial and final value 0xFFFF.
pub fn x25(data: &[u8]) -> u16 {
    !update(0xFFFF, data)
}

#[cfg(test)]
mod tests {
    #[test]
    fn x25_check_value() {
        assert_eq!(super::x25(b"123456789"), 0x906E);
    }
}
