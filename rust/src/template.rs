//! Many telegrams of one form: the bytes of one, with values patched in and all checksums made new.

use crate::checksums::Checksums;
use crate::frame::{self, START};
use crate::memory;
use crate::tl;

/// A value that varies from telegram to telegram.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where its value bytes begin in the file.
    pub at: usize,
    pub width: usize,
    pub kind: FieldKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Signed,
    Unsigned,
    Octets,
}

/// The values of one field, one for each telegram.
pub enum Values<'a> {
    Integers(&'a [i64]),
    /// `width` bytes for each telegram, one behind the other.
    Octets(&'a [u8]),
}

/// Why nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not one set of values for each field, or not as many values as telegrams.
    Shape,
    /// A value does not fit the width of its field.
    TooWide { field: usize, row: usize },
}

pub struct Template {
    file_length: usize,
    frame: Vec<u8>,
    fields: Vec<Field>,
    checksums: Checksums,
}

/// Telegrams one behind the other, and where each ends.
#[derive(Debug, Default)]
pub struct Telegrams {
    pub octets: Vec<u8>,
    pub ends: Vec<i64>,
}

impl Template {
    /// `messages` are the start of each message in `file` and of its CRC field. None where a
    /// frame of this form needs escapes already.
    pub fn new(file: &[u8], fields: Vec<Field>, messages: Vec<(usize, usize)>) -> Option<Template> {
        let frame = frame::wrap(file);
        if has_pair(&frame[START.len()..frame.len() - 7]) {
            return None;
        }
        let spans = messages.iter().map(|&(start, crc)| (START.len() + start, START.len() + crc));
        let checksums = Checksums::of(&frame, spans);
        Some(Template { file_length: file.len(), frame, fields, checksums })
    }

    /// `rows` telegrams with `values[field][row]`.
    pub fn encode(&self, rows: usize, values: &[Values<'_>]) -> Result<Telegrams, Refused> {
        if values.len() != self.fields.len() {
            return Err(Refused::Shape);
        }
        for (index, (field, values)) in self.fields.iter().zip(values).enumerate() {
            match (field.kind, values) {
                (FieldKind::Octets, Values::Octets(octets)) if octets.len() == rows * field.width => {}
                (FieldKind::Signed | FieldKind::Unsigned, Values::Integers(integers)) if integers.len() == rows => {
                    let signed = field.kind == FieldKind::Signed;
                    let shift = 64 - 8 * field.width as u32;
                    let fits = |&value: &i64| match signed {
                        true => value << shift >> shift == value,
                        false => (value as u64) << shift >> shift == value as u64,
                    };
                    if let Some(row) = integers.iter().position(|value| !fits(value)) {
                        return Err(Refused::TooWide { field: index, row });
                    }
                }
                _ => return Err(Refused::Shape),
            }
        }
        let length = self.frame.len();
        let mut telegrams = Telegrams::default();
        memory::reserve(&mut telegrams.octets, rows * length);
        memory::reserve(&mut telegrams.ends, rows + 1);
        telegrams.ends.push(0);
        for row in 0..rows {
            let start = telegrams.octets.len();
            telegrams.octets.extend_from_slice(&self.frame);
            let telegram = &mut telegrams.octets[start..];
            for (field, values) in self.fields.iter().zip(values) {
                field.patch(telegram, row, values);
            }
            self.checksums.write(telegram);
            if has_pair(&telegram[START.len()..length - 7]) {
                // The values might spell an escape word, whose doubling moves the fill bytes.
                let file = telegram[START.len()..][..self.file_length].to_vec();
                telegrams.octets.truncate(start);
                telegrams.octets.extend(frame::wrap(&file));
            }
            telegrams.ends.push(telegrams.octets.len() as i64);
        }
        Ok(telegrams)
    }
}

impl Field {
    #[inline]
    fn patch(&self, telegram: &mut [u8], row: usize, values: &Values<'_>) {
        let end = START.len() + self.at + self.width;
        match values {
            Values::Integers(integers) => {
                // Eight bytes in one step; those before the value stay, and the start word is
                // always before them.
                let place = &mut telegram[end - 8..end];
                let before = u64::from_be_bytes(place.try_into().expect("eight bytes"));
                let kept = u64::MAX.checked_shl(8 * self.width as u32).unwrap_or(0);
                let patched = before & kept | integers[row] as u64 & !kept;
                place.copy_from_slice(&patched.to_be_bytes());
            }
            Values::Octets(octets) => {
                telegram[end - self.width..end].copy_from_slice(&octets[row * self.width..][..self.width]);
            }
        }
    }
}

/// Whether two 1b stand side by side anywhere.
#[inline]
fn has_pair(bytes: &[u8]) -> bool {
    let (first, second) = (&bytes[..bytes.len() - 1], &bytes[1..]);
    let mut found = 0;
    for (first, second) in first.iter().zip(second) {
        found |= u8::from(*first == 0x1B) & u8::from(*second == 0x1B);
    }
    found == 1
}

/// Messages of a whole file, as `Template::new` wants them; None where one is not plain.
pub fn spans(file: &[u8]) -> Option<Vec<(usize, usize)>> {
    let mut at = 0;
    let mut spans = Vec::new();
    while at < file.len() {
        let marks = crate::decode::marks(file, at).ok()?;
        let head = tl::head(file, marks.crc).ok()?;
        if head.length != 2 || head.body != marks.crc + 1 {
            return None;
        }
        spans.push((marks.start, marks.crc));
        at = marks.end;
    }
    Some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crc;
    use crate::frame::{Event, Scanner};

    /// Close.Res with its transaction ID to be filled in.
    fn template() -> Template {
        let mut file = vec![0x76, 0x05, 0, 0, 0, 0, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x02, 0x01, 0x71, 0x01];
        let crc = crc::x25(&file).to_le_bytes();
        file.push(0x63);
        file.extend(crc);
        file.push(0);
        let field = Field { at: 2, width: 4, kind: FieldKind::Unsigned };
        Template::new(&file, vec![field], spans(&file).unwrap()).unwrap()
    }

    #[test]
    fn every_telegram_is_whole_and_carries_its_value() {
        let values = [0, 1, 0x1B1B, 0x1B1B_1B1B, 0xFFFF_FFFF];
        let telegrams = template().encode(values.len(), &[Values::Integers(&values)]).unwrap();
        let mut scanner = Scanner::new(8192, true);
        for (row, value) in values.iter().enumerate() {
            let Some(Event::Frame(found)) = scanner.next(&telegrams.octets, true) else { panic!("row {row}") };
            assert_eq!([found.start as i64, found.end as i64], telegrams.ends[row..row + 2]);
            let file = frame::payload(&telegrams.octets[found.start..found.end], &found);
            for (start, crc) in spans(&file).unwrap() {
                assert!(crate::decode::checksum(&file, start, crc, true).is_ok());
            }
            assert_eq!(file[2..6], (*value as u32).to_be_bytes());
        }
        assert!(scanner.next(&telegrams.octets, true).is_none());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refused = template().encode(3, &[Values::Integers(&[1, 2, 1 << 32])]).unwrap_err();
        assert_eq!(refused, Refused::TooWide { field: 0, row: 2 });
        assert_eq!(template().encode(2, &[Values::Integers(&[1])]).unwrap_err(), Refused::Shape);
    }
}
