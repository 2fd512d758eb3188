//! Forms of telegrams: a telegram whose structure was accepted before needs no parsing.
//!
//! A form is which bytes were structure and must come again, and where the values stand. A
//! telegram of a known form needs only both levels of CRC and a few loads. Nothing is accepted that
//! the generic reader would refuse: what a form lets vary are value bytes, which no rule looks at,
//! and a run of 1b in them, which could be an escape word, leads back to the generic reader.

use std::collections::HashMap;
use std::ops::Range;

use crate::checksums::Checksums;
use crate::columns::Columns;
use crate::decode::{Report, Tolerated};
use crate::frame::{MIN_FRAME, START};
use crate::rows::{Place, Row, Rows, TimeKind, first_set};

/// Forms kept; a fleet needs as many as it has kinds of meters.
const MAX_FORMS: usize = 512;
/// Forms of one length, each of which a telegram of that length is compared with.
const MAX_SAME_LENGTH: usize = 16;

struct NumberAt {
    column: usize,
    /// Behind its last byte.
    end: usize,
    width: u32,
    signed: bool,
    scaler: i8,
}

/// A telegram the generic reader has accepted, and what may differ in the next one like it.
/// All offsets count from the start of the frame.
struct Form {
    length: usize,
    /// The body, with zeros where bytes may differ, and the mask of those that may not.
    body: Vec<u8>,
    mask: Vec<u8>,
    /// End word up to the fill count.
    tail: [u8; 6],
    checksums: Checksums,
    server_id: Range<usize>,
    times: Vec<(TimeKind, usize, u32)>,
    status: Option<(usize, u32)>,
    numbers: Vec<NumberAt>,
    deviations: u64,
    left_out: u64,
    /// The form that came after this one the last time.
    next: usize,
}

#[derive(Default)]
pub struct Forms {
    known: Vec<Form>,
    by_length: HashMap<usize, Vec<usize>>,
    last: usize,
}

impl Forms {
    /// Take the telegram at `at` if it is the one we expect; returns its length.
    #[inline]
    pub fn follow(&mut self, data: &[u8], at: usize, columns: &mut Columns) -> Option<usize> {
        let expected = self.known.get(self.last)?.next;
        let form = &self.known[expected];
        let raw = data.get(at..at + form.length)?;
        (form.fits(raw) && form.checksums.right(raw)).then(|| {
            form.extract(raw, at, columns);
            self.last = expected;
            raw.len()
        })
    }

    /// Take a frame the scanner has accepted if it has any known form.
    pub fn fit(&mut self, raw: &[u8], at: usize, columns: &mut Columns) -> bool {
        let Some(candidates) = self.by_length.get(&raw.len()) else { return false };
        for &candidate in candidates {
            let form = &self.known[candidate];
            if form.fits(raw) && form.checksums.right(raw) {
                form.extract(raw, at, columns);
                self.known[self.last].next = candidate;
                self.last = candidate;
                return true;
            }
        }
        false
    }

    /// Keep the form of a telegram the generic reader has accepted, if all that may vary is known.
    pub fn learn(&mut self, raw: &[u8], row: &Row, rows: &Rows<'_>, report: &Report, columns: &Columns) {
        let by_form = |kind| matches!(kind, Tolerated::BareTime | Tolerated::MissingValue | Tolerated::ExtraZeros);
        let same_length = self.by_length.entry(raw.len()).or_default();
        if !rows.plain_checksums
            || !report.deviations.iter().all(|deviation| by_form(deviation.kind))
            || self.known.len() == MAX_FORMS
            || same_length.len() == MAX_SAME_LENGTH
            || raw.len() < MIN_FRAME + LANES
        {
            return;
        }
        let shift = START.len();
        if rows.messages.iter().any(|message| raw[shift + message.crc] != 0x63) {
            return;
        }
        let mut numbers: Vec<NumberAt> = Vec::new();
        for entry in &row.numbers {
            let column = entry.code.and_then(|code| columns.by_code.get(&code)).copied();
            if let Some(column) = column.filter(|&column| columns.columns[column].unit == entry.unit) {
                if numbers.iter().any(|number| number.column == column) {
                    return; // which of two numbers of one name counts depends on their values
                }
                numbers.push(NumberAt {
                    column,
                    end: shift + entry.value.at + entry.value.width,
                    width: entry.value.width as u32,
                    signed: entry.value.signed,
                    scaler: entry.scaler,
                });
            }
        }
        let body = &raw[shift..raw.len() - 8];
        let mut mask = vec![0xFF; body.len()];
        for &(at, length) in &rows.variable {
            mask[at..at + length].fill(0);
        }
        for message in &rows.messages {
            mask[message.crc + 1..message.crc + 3].fill(0);
        }
        let ends = |place: &Place| (shift + place.at + place.width, place.width as u32);
        let server_at = shift + row.server_at;
        let spans = rows.messages.iter().map(|message| (shift + message.start, shift + message.crc));
        let form = Form {
            length: raw.len(),
            body: body.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect(),
            mask,
            tail: raw[raw.len() - 8..raw.len() - 2].try_into().expect("six bytes"),
            checksums: Checksums::of(raw, spans),
            server_id: server_at..server_at + row.server_id.len(),
            times: row.times.iter().map(|(kind, place)| (*kind, ends(place).0, ends(place).1)).collect(),
            status: row.status.as_ref().map(ends),
            left_out: (row.numbers.len() - numbers.len()) as u64,
            numbers,
            deviations: report.deviations.len() as u64,
            next: self.known.len(),
        };
        let id = self.known.len();
        same_length.push(id);
        self.known.push(form);
        self.known[self.last].next = id;
        self.last = id;
    }
}

impl Form {
    /// Whether `raw` differs from the form only where it may, and holds no run of 1b.
    #[inline]
    fn fits(&self, raw: &[u8]) -> bool {
        let end = raw.len() - 8;
        raw[..8] == START && raw[end..end + 6] == self.tail && same_form(raw, &self.body, &self.mask)
    }

    #[inline]
    fn extract(&self, raw: &[u8], offset: usize, columns: &mut Columns) {
        let row = columns.open_row(offset, &raw[self.server_id.clone()]);
        columns.telegrams += 1;
        columns.matched += 1;
        columns.deviations += self.deviations;
        columns.left_out += self.left_out;
        let times = self.times.iter().map(|&(kind, end, width)| (kind, integer_before(raw, end, width, false) as u32));
        (columns.time[row], columns.time_kind[row]) = first_set(times);
        if let Some((end, width)) = self.status {
            columns.status[row] = integer_before(raw, end, width, false) as u64;
            columns.status_valid[row] = 1;
        }
        for number in &self.numbers {
            let value = integer_before(raw, number.end, number.width, number.signed);
            if value < 0 && !number.signed {
                columns.left_out += 1;
                continue;
            }
            let column = &mut columns.columns[number.column];
            column.value[row] = value;
            column.scaler[row] = number.scaler;
            column.valid[row] = 1;
        }
    }
}

/// The integer of `width` bytes that ends before `end`; the eight bytes there are always inside
/// the frame, because its start word stands in front.
#[inline]
fn integer_before(raw: &[u8], end: usize, width: u32, signed: bool) -> i64 {
    let bytes: [u8; 8] = raw[end - 8..end].try_into().expect("eight bytes");
    let high = i64::from_be_bytes(bytes) << (64 - 8 * width);
    if signed { high >> (64 - 8 * width) } else { (high as u64 >> (64 - 8 * width)) as i64 }
}

/// Bytes compared in one step.
const LANES: usize = 32;

/// Whether the body of `raw` equals `form` under `mask`, and nowhere in it two 1b stand side by
/// side, which could be part of an escape word.
#[inline]
fn same_form(raw: &[u8], form: &[u8], mask: &[u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just been asked for AVX2.
        return unsafe { same_form_avx2(raw, form, mask) };
    }
    same_form_anywhere(raw, form, mask)
}

/// # Safety
/// Only on processors with AVX2; the body is the portable one, compiled for wider vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn same_form_avx2(raw: &[u8], form: &[u8], mask: &[u8]) -> bool {
    same_form_anywhere(raw, form, mask)
}

#[inline(always)]
fn same_form_anywhere(raw: &[u8], form: &[u8], mask: &[u8]) -> bool {
    // One byte of the end word belongs to the last pair.
    let body = &raw[START.len()..raw.len() - 7];
    debug_assert!(body.len() == form.len() + 1 && mask.len() == form.len() && form.len() >= LANES);
    let mut wrong = [0; LANES];
    let mut step = |at: usize| {
        let (bytes, following) = (&body[at..at + LANES], &body[at + 1..at + 1 + LANES]);
        let (form, mask) = (&form[at..at + LANES], &mask[at..at + LANES]);
        for lane in 0..LANES {
            let pair = u8::from(bytes[lane] == 0x1B) & u8::from(following[lane] == 0x1B);
            wrong[lane] |= (bytes[lane] ^ form[lane]) & mask[lane] | pair;
        }
    };
    let last = form.len() - LANES;
    for at in (0..last).step_by(LANES) {
        step(at);
    }
    step(last); // overlaps the step before where the length is no multiple
    wrong == [0; LANES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_agree_under_their_mask_and_only_there() {
        for length in [LANES, LANES + 1, 100, 128] {
            let raw: Vec<u8> = (0..length + 16).map(|at| at as u8 ^ 0x80).collect();
            let form = raw[8..8 + length].to_vec();
            let mask: Vec<u8> = (0..length).map(|at| if at % 3 == 0 { 0 } else { 0xFF }).collect();
            let masked: Vec<u8> = form.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
            assert!(same_form(&raw, &masked, &mask));
            for at in 0..length {
                let mut other = raw.clone();
                other[8 + at] ^= 1;
                assert_eq!(same_form(&other, &masked, &mask), mask[at] == 0, "byte {at} of {length}");
                assert_eq!(same_form_anywhere(&other, &masked, &mask), mask[at] == 0);
            }
        }
    }

    #[test]
    fn a_pair_of_1b_leaves_the_fast_path_at_every_place() {
        let raw = vec![0x76; 120];
        let (form, mask) = (vec![0; 104], vec![0; 104]);
        assert!(same_form(&raw, &form, &mask));
        for at in 8..112 {
            let mut other = raw.clone();
            other[at..at + 2].fill(0x1B);
            assert!(!same_form(&other, &form, &mask), "{at}");
        }
    }

    #[test]
    fn integers_of_every_width_are_loaded_from_their_end() {
        let raw = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xFF, 0xFE];
        for width in 1..=8 {
            let bytes = &raw[10 - width..];
            for signed in [false, true] {
                assert_eq!(integer_before(&raw, 10, width as u32, signed), crate::tl::integer(bytes, signed));
            }
        }
    }
}
