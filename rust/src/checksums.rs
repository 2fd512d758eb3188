//! Checksums of frames from the checksums of their messages.
//!
//! A CRC is linear: where a message's register differs by d from one computed before, the frame's
//! differs by a fixed function of d, because what stands between the messages is either the same
//! or, where it is the message's own CRC, differs by d too. So a frame's CRC follows from its
//! messages' and each byte is touched once.

use crate::crc;

/// A linear function of sixteen bits, by its values for each nibble.
struct Linear([[u16; 16]; 4]);

impl Linear {
    fn new(mut of_bit: impl FnMut(u16) -> u16) -> Linear {
        let mut tables = [[0; 16]; 4];
        for (nibble, table) in tables.iter_mut().enumerate() {
            for (value, sum) in table.iter_mut().enumerate() {
                *sum = (0..4)
                    .filter(|bit| value >> bit & 1 == 1)
                    .fold(0, |sum, bit| sum ^ of_bit(1 << (4 * nibble + bit)));
            }
        }
        Linear(tables)
    }

    #[inline]
    fn of(&self, x: u16) -> u16 {
        let part = |nibble: usize| self.0[nibble][usize::from(x >> (4 * nibble) & 15)];
        (part(0) ^ part(1)) ^ (part(2) ^ part(3))
    }
}

/// The bytes a message's CRC covers, in a frame of fixed form.
struct Covered {
    start: usize,
    /// Where they end and the CRC field begins: a TL byte, then the CRC, low byte first.
    crc: usize,
    /// The register behind them in the model.
    register: u16,
    /// What a difference in it does to the register of the frame.
    effect: Linear,
}

/// The checksums of frames that differ from a model inside their messages only.
pub struct Checksums {
    messages: Vec<Covered>,
    /// The model's register before its own CRC.
    register: u16,
}

impl Checksums {
    /// `frame` is the model, with right checksums in its messages; `messages` are the start of each
    /// and of its CRC field, which is two bytes wide.
    pub fn of(frame: &[u8], messages: impl Iterator<Item = (usize, usize)>) -> Checksums {
        let end = frame.len() - 2;
        let covered = |(start, crc): (usize, usize)| {
            let mut difference = vec![0; end - crc];
            let effect = Linear::new(|bit| {
                difference[1..3].copy_from_slice(&bit.to_le_bytes());
                crc::advance(bit, &difference)
            });
            Covered { start, crc, register: crc::advance(0xFFFF, &frame[start..crc]), effect }
        };
        Checksums { messages: messages.map(covered).collect(), register: crc::advance(0xFFFF, &frame[..end]) }
    }

    /// Whether all checksums of `frame`, which has the model's form, are right.
    #[inline]
    pub fn right(&self, frame: &[u8]) -> bool {
        let mut sum = self.register;
        for message in &self.messages {
            let register = crc::advance(0xFFFF, &frame[message.start..message.crc]);
            if (!register).to_le_bytes() != frame[message.crc + 1..message.crc + 3] {
                return false;
            }
            sum ^= message.effect.of(register ^ message.register);
        }
        (!sum).to_le_bytes() == frame[frame.len() - 2..]
    }

    /// Write all checksums of `frame`, which has the model's form.
    #[inline]
    pub fn write(&self, frame: &mut [u8]) {
        let mut sum = self.register;
        for message in &self.messages {
            let register = crc::advance(0xFFFF, &frame[message.start..message.crc]);
            frame[message.crc + 1..message.crc + 3].copy_from_slice(&(!register).to_le_bytes());
            sum ^= message.effect.of(register ^ message.register);
        }
        let end = frame.len() - 2;
        frame[end..].copy_from_slice(&(!sum).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_follows_from_its_messages() {
        let mut frame: Vec<u8> = (0..120).collect();
        let spans = [(8, 50), (54, 112)];
        for (start, crc) in spans {
            let checksum = crc::x25(&frame[start..crc]).to_le_bytes();
            frame[crc + 1..crc + 3].copy_from_slice(&checksum);
        }
        let checksums = Checksums::of(&frame, spans.into_iter());
        for change in 0..200u8 {
            frame[9 + usize::from(change) % 40] ^= change;
            frame[60 + usize::from(change) % 50] = change;
            checksums.write(&mut frame);
            for (start, crc) in spans {
                assert_eq!(crc::x25(&frame[start..crc]).to_le_bytes(), frame[crc + 1..crc + 3]);
            }
            assert_eq!(crc::x25(&frame[..118]).to_le_bytes(), frame[118..]);
            assert!(checksums.right(&frame));
            for at in [9, 52, 60, 118] {
                frame[at] ^= 0x10;
                assert!(!checksums.right(&frame), "byte {at}");
                frame[at] ^= 0x10;
            }
        }
    }
}
