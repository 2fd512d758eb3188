//! Transport version 1: finding frames in a byte stream.
//!
//! ```text
//! 1b1b1b1b 01010101   <file, runs of four 1b doubled>  <00 x n>   1b1b1b1b 1a nn crc
//! ```
//!
//! The search looks at every byte, not at aligned words: a line error that loses a byte must not
//! cost the frames behind it. Only the end word has to stand at a multiple of four from the start,
//! which is what tells it from a body that ends in 1b.

use std::borrow::Cow;

use crate::crc;

const ESCAPE: [u8; 4] = [0x1B; 4];
pub const START: [u8; 8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1];
pub const MIN_FRAME: usize = 16;
pub const LARGEST_MAX_FRAME: usize = 4 << 20;
/// How often bytes are looked at again after rejections: hostile input must cost linear time.
/// A chain of swallowed starts this long would need eight telegrams in a row, each cut exactly
/// behind an escape word.
pub const MAX_RESCANS: u32 = 8;

/// Why something that began like a frame was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Another frame started inside.
    Restarted,
    /// No end within the bound.
    TooLong,
    /// The stream ended.
    Truncated,
    /// An escape word of transport version 2.
    Version2([u8; 4]),
    /// An escape word nobody knows.
    Escape([u8; 4]),
    /// More fill bytes announced than can be.
    Fill(u8),
    Checksum {
        expected: u16,
        found: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of the first byte in the scanned data.
    pub start: usize,
    pub end: usize,
    pub fill: u8,
    pub kermit: bool,
    /// Doubled runs of 1b stand inside.
    pub escapes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Frame(Frame),
    Rejected { start: usize, end: usize, reason: Reason },
}

/// The search over data that may still grow at its end.
///
/// Positions are offsets into the data handed to `next`, which must hold everything from
/// `position()` on; `shift` tells the scanner that bytes in front were taken away.
#[derive(Clone, Debug)]
pub struct Scanner {
    max_frame: usize,
    strict: bool,
    at: usize,
    start: Option<usize>,
    escapes: bool,
    rescanned_to: usize,
    rescans: u32,
}

impl Scanner {
    pub fn new(max_frame: usize, strict: bool) -> Scanner {
        Scanner { max_frame, strict, at: 0, start: None, escapes: false, rescanned_to: 0, rescans: 0 }
    }

    /// Bytes before this are settled.
    pub fn position(&self) -> usize {
        self.start.unwrap_or(self.at)
    }

    /// Whether the scanner stands between frames, with nothing to look at twice.
    #[inline]
    pub fn between_frames(&self) -> bool {
        self.start.is_none()
    }

    /// Go on behind a frame that was recognised by other means.
    #[inline]
    pub fn jump(&mut self, to: usize) {
        debug_assert!(self.start.is_none() && to >= self.at);
        self.at = to;
    }

    /// Forget the data; a new stream begins at position 0.
    pub fn restart(&mut self) {
        *self = Scanner::new(self.max_frame, self.strict);
    }

    /// The first `taken` bytes, all settled, are gone from the data.
    pub fn shift(&mut self, taken: usize) {
        self.at -= taken;
        self.start = self.start.map(|start| start - taken);
        self.rescanned_to = self.rescanned_to.saturating_sub(taken);
    }

    /// The next event, or None where it needs more data. `last` says that no more will come.
    pub fn next(&mut self, data: &[u8], last: bool) -> Option<Event> {
        let start = match self.start {
            Some(start) => start,
            None => match find_start(data, self.at) {
                Found::Start(start) => {
                    self.start = Some(start);
                    self.at = start + START.len();
                    self.escapes = false;
                    start
                }
                Found::Version2(start) => {
                    let word = [2, 0, 0, 0];
                    self.at = start + 5;
                    self.rescanned_to = self.rescanned_to.max(self.at);
                    return Some(Event::Rejected { start, end: self.at, reason: Reason::Version2(word) });
                }
                Found::Nothing => {
                    self.at = self.at.max(data.len().saturating_sub(START.len() - 1));
                    return None;
                }
            },
        };
        loop {
            let escape = find_escape(data, self.at);
            // Four 1b may still begin in the last three bytes.
            if escape.unwrap_or(data.len().saturating_sub(3)) + 8 - start > self.max_frame {
                return Some(self.reject(start + self.max_frame, Reason::TooLong));
            }
            let word = escape.and_then(|escape| data.get(escape + 4..escape + 8));
            let (Some(escape), Some(word)) = (escape, word) else {
                self.at = escape.unwrap_or(self.at.max(data.len().saturating_sub(3)));
                return last.then(|| self.reject(data.len(), Reason::Truncated));
            };
            let word: [u8; 4] = word.try_into().expect("four bytes");
            let aligned = (escape - start) % 4 == 0;
            match word {
                [1, 1, 1, 1] => return Some(self.reject(escape, Reason::Restarted)),
                ESCAPE => {
                    self.escapes = true;
                    self.at = escape + 8;
                }
                _ if !aligned => self.at = escape + 1,
                [0x1A, ..] => return Some(self.finish(data, start, escape + 8)),
                [2..=4, ..] => return Some(self.reject(escape + 8, Reason::Version2(word))),
                _ => return Some(self.reject(escape + 8, Reason::Escape(word))),
            }
        }
    }

    /// Leave the frame; the search goes on inside its bytes, where another start may have been
    /// taken for a doubled escape.
    fn reject(&mut self, end: usize, reason: Reason) -> Event {
        let start = self.start.take().expect("a frame is open");
        self.rescans = if start >= self.rescanned_to { 0 } else { self.rescans + 1 };
        self.rescanned_to = self.rescanned_to.max(end);
        self.at = if self.rescans < MAX_RESCANS { start + 1 } else { end };
        Event::Rejected { start, end, reason }
    }

    fn finish(&mut self, data: &[u8], start: usize, end: usize) -> Event {
        let covered = &data[start..end - 2];
        let expected = crc::x25(covered);
        let found = u16::from_le_bytes([data[end - 2], data[end - 1]]);
        let mut kermit = false;
        if found != expected {
            kermit = !self.strict && found.swap_bytes() == crc::kermit(covered);
            if !kermit {
                return self.reject(end, Reason::Checksum { expected, found });
            }
        }
        let fill = data[end - 3];
        let most = if self.strict { 3 } else { 4 };
        if usize::from(fill) > most.min(end - start - MIN_FRAME) {
            return self.reject(end, Reason::Fill(fill));
        }
        self.start = None;
        self.at = end;
        Event::Frame(Frame { start, end, fill, kermit, escapes: self.escapes })
    }
}

enum Found {
    Start(usize),
    Version2(usize),
    Nothing,
}

/// The first start word at or behind `from`; any number of stray 1b may stand before it.
fn find_start(data: &[u8], from: usize) -> Found {
    let mut at = from;
    while let Some(found) = find_escape(data, at) {
        match data.get(found + 4..) {
            Some([1, 1, 1, 1, ..]) => return Found::Start(found),
            Some([2, ..]) => return Found::Version2(found),
            _ => at = found + 1,
        }
    }
    Found::Nothing
}

/// The first run of four 1b at or behind `from`.
#[inline]
fn find_escape(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(0x1B, data.get(at..)?)?;
        let run = data[at..].iter().take(4).take_while(|&&byte| byte == 0x1B).count();
        if run == 4 {
            return Some(at);
        }
        at += run;
    }
}

/// The SML file in a frame: doubled runs of 1b halved, fill bytes taken off.
///
/// Makers disagree on whether runs at odd offsets are doubled, or only aligned words. Read byte by
/// byte, both come out right: an encoder that doubles aligned words turns a run of a + 4q + b, with
/// a and b below four, into a + 8q + b, which is halved to the same run wherever it begins.
pub fn payload<'data>(raw: &'data [u8], frame: &Frame) -> Cow<'data, [u8]> {
    let body = &raw[START.len()..raw.len() - 8];
    let fill = usize::from(frame.fill);
    if !frame.escapes {
        return Cow::Borrowed(&body[..body.len() - fill]);
    }
    let mut payload = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        let doubled = body[at..].starts_with(&[0x1B; 8]);
        let kept = if doubled { 4 } else { 1 };
        payload.extend_from_slice(&body[at..at + kept]);
        at += if doubled { 8 } else { 1 };
    }
    payload.truncate(payload.len().saturating_sub(fill));
    Cow::Owned(payload)
}

/// Wrap an SML file for the wire; every run of four 1b is doubled, wherever it stands.
pub fn wrap(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 24);
    frame.extend(START);
    let mut at = 0;
    while let Some(escape) = find_escape(payload, at) {
        frame.extend(&payload[at..escape + 4]);
        frame.extend(ESCAPE);
        at = escape + 4;
    }
    frame.extend(&payload[at..]);
    let fill = (4 - frame.len() % 4) % 4;
    frame.resize(frame.len() + fill, 0);
    frame.extend(ESCAPE);
    frame.extend([0x1A, fill as u8]);
    let crc = crc::x25(&frame);
    frame.extend(crc.to_le_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `data` in portions of `size`; events with positions in the whole stream.
    fn events(data: &[u8], size: usize) -> Vec<Event> {
        let mut scanner = Scanner::new(8192, false);
        let mut events = Vec::new();
        for end in (0..data.len()).step_by(size.max(1)).chain([data.len()]) {
            while let Some(event) = scanner.next(&data[..end], false) {
                events.push(event);
            }
        }
        while let Some(event) = scanner.next(data, true) {
            events.push(event);
        }
        events
    }

    fn frames(data: &[u8]) -> Vec<Vec<u8>> {
        let found = events(data, data.len());
        for size in 1..20 {
            assert_eq!(events(data, size), found, "portions of {size}");
        }
        let mut frames = Vec::new();
        for event in found {
            if let Event::Frame(frame) = event {
                frames.push(payload(&data[frame.start..frame.end], &frame).into_owned());
            }
        }
        frames
    }

    #[test]
    fn the_smallest_frame() {
        assert_eq!(wrap(b""), hex("1b1b1b1b 01010101 1b1b1b1b 1a00 361a".replace("361a", &smallest_crc())));
        assert_eq!(frames(&wrap(b"")), [b""]);
    }

    fn smallest_crc() -> String {
        let crc = crc::x25(&hex("1b1b1b1b 01010101 1b1b1b1b 1a00".into())).to_le_bytes();
        format!("{:02x}{:02x}", crc[0], crc[1])
    }

    fn hex(text: String) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn runs_of_1b_survive_at_every_offset_and_length() {
        for before in 0..9 {
            for run in 0..14 {
                for after in 0..6 {
                    let file = [vec![0x77; before], vec![0x1B; run], vec![0x76; after]].concat();
                    assert_eq!(frames(&wrap(&file)), [&file[..]], "{before} {run} {after}");
                }
            }
        }
    }

    /// As `wrap`, but doubles only runs that fill an aligned word.
    fn wrap_aligned(file: &[u8]) -> Vec<u8> {
        let mut frame = START.to_vec();
        for word in file.chunks(4) {
            frame.extend(word);
            if word == ESCAPE {
                frame.extend(ESCAPE);
            }
        }
        let fill = (4 - frame.len() % 4) % 4;
        frame.resize(frame.len() + fill, 0);
        frame.extend(ESCAPE);
        frame.extend([0x1A, fill as u8]);
        let crc = crc::x25(&frame);
        frame.extend(crc.to_le_bytes());
        frame
    }

    #[test]
    fn encoders_that_double_aligned_words_only_are_read_as_well() {
        for before in 0..9 {
            for run in 0..20 {
                for (between, second) in [(0, 0), (1, 5), (2, 8), (3, 11)] {
                    let file = [vec![0x77; before], vec![0x1B; run], vec![0x76; between], vec![0x1B; second]].concat();
                    assert_eq!(frames(&wrap_aligned(&file)), [&file[..]], "{before} {run} {between} {second}");
                }
            }
        }
    }

    #[test]
    fn stray_bytes_before_the_start_cost_nothing() {
        for noise in ["1b", "1b1b1b", "1b1b1b1b1b", "000c", "1b1b1b1b01", "2f455359"] {
            let stream = [hex(noise.into()), wrap(b"\x76one")].concat();
            assert_eq!(frames(&stream), [b"\x76one"], "{noise}");
        }
    }

    #[test]
    fn a_cut_frame_costs_no_other() {
        let (one, two, three) = (wrap(b"\x76one one one"), wrap(b"\x76two"), wrap(b"\x76three"));
        for cut in 1..one.len() {
            let stream = [&one[..cut], &two, &three].concat();
            let found = frames(&stream);
            assert!(found.ends_with(&[b"\x76two".to_vec(), b"\x76three".to_vec()]), "cut at {cut}: {found:?}");
        }
        for lost in 0..one.len() {
            let stream = [&one[..lost], &one[lost + 1..], &two, &three].concat();
            let found = frames(&stream);
            assert!(found.ends_with(&[b"\x76two".to_vec(), b"\x76three".to_vec()]), "lost {lost}: {found:?}");
        }
    }

    #[test]
    fn bounds_hold_to_the_byte() {
        let frame = wrap(&[0x76; 84]);
        assert_eq!(frame.len(), 100);
        for (bound, whole) in [(100, true), (99, false)] {
            let mut scanner = Scanner::new(bound, false);
            let event = scanner.next(&frame, true);
            assert_eq!(matches!(event, Some(Event::Frame(_))), whole, "{event:?}");
        }
    }

    #[test]
    fn hostile_chains_of_starts_cost_linear_time() {
        let chain = [&[0x1B; 4][..], &START].concat().repeat(300_000);
        let mut scanner = Scanner::new(LARGEST_MAX_FRAME, false);
        let mut rejected = 0;
        while let Some(event) = scanner.next(&chain, true) {
            assert!(matches!(event, Event::Rejected { .. }));
            rejected += 1;
        }
        assert!(rejected > 0);
    }

    #[test]
    fn version_2_is_named() {
        let found = events(&hex("1b1b1b1b 02020202 000000 1b1b1b1b 01010101 aaaaaaaa 1b1b1b1b 03000010".into()), 100);
        let reasons: Vec<&Event> = found.iter().collect();
        assert!(matches!(reasons[0], Event::Rejected { start: 0, end: 5, reason: Reason::Version2(_) }));
        assert!(matches!(reasons[1], Event::Rejected { start: 11, reason: Reason::Version2([3, 0, 0, 0x10]), .. }));
    }
}
