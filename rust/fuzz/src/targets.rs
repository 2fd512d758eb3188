//! What must hold for any bytes. Each target returns a digest of what happened, by which the
//! driver knows inputs that behave in a new way.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use _core::columns::{self, Columns, Options};
use _core::decode::{self, Nothing};
use _core::frame::{self, Event, Scanner};
use _core::plan::Plan;
use _core::tl;

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::parse(include_str!("../plan.txt")).expect("plan.txt"));

fn digest(behaviour: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    behaviour.hash(&mut hasher);
    hasher.finish()
}

/// Counts as people would tell them apart: none, one, two, a few, many.
fn roughly(count: u64) -> u32 {
    64 - count.leading_zeros()
}

/// The stream in any portions gives the same events; what is framed comes back.
pub fn frames(data: &[u8]) -> u64 {
    let (options, stream) = data.split_first().unwrap_or((&0, &[]));
    let bound = [64, 300, 8192, frame::LARGEST_MAX_FRAME][usize::from(options & 3)];
    let strict = options & 4 != 0;
    let mut scanner = Scanner::new(bound, strict);
    let mut whole = Vec::new();
    while let Some(event) = scanner.next(stream, true) {
        whole.push(event);
    }
    let size = usize::from(options >> 3) + 1;
    let mut scanner = Scanner::new(bound, strict);
    let mut portions = Vec::new();
    // Settled bytes are taken away, as the push decoder does it.
    let (mut base, mut at) = (0, 0);
    while at < stream.len() {
        at = (at + size).min(stream.len());
        while let Some(event) = scanner.next(&stream[base..at], at == stream.len()) {
            portions.push(shifted(event, base));
        }
        let settled = scanner.position().min(at - base);
        scanner.shift(settled);
        base += settled;
    }
    assert_eq!(whole, portions);
    let mut last = 0;
    let mut kinds = Vec::new();
    for event in &whole {
        match event {
            Event::Frame(found) => {
                assert!(found.start >= last && found.end <= stream.len());
                last = found.end;
                let payload = frame::payload(&stream[found.start..found.end], found);
                assert!(payload.len() <= found.end - found.start - frame::MIN_FRAME);
                kinds.push((0, u32::from(found.fill), found.kermit, found.escapes));
            }
            Event::Rejected { start, end, reason } => {
                assert!(start < end && end - start <= bound + 8);
                kinds.push((1 + format!("{reason:?}").len() as u32 % 7, 0, false, false));
            }
        }
    }
    let wrapped = frame::wrap(stream);
    let mut scanner = Scanner::new(frame::LARGEST_MAX_FRAME, true);
    match scanner.next(&wrapped, true) {
        Some(Event::Frame(found)) => assert_eq!(frame::payload(&wrapped, &found), stream),
        other => panic!("what was framed is {other:?}"),
    }
    kinds.truncate(3);
    digest((kinds, roughly(whole.len() as u64)))
}

fn shifted(event: Event, by: usize) -> Event {
    match event {
        Event::Frame(mut frame) => {
            frame.start += by;
            frame.end += by;
            Event::Frame(frame)
        }
        Event::Rejected { start, end, reason } => Event::Rejected { start: start + by, end: end + by, reason },
    }
}

/// Outline, walk and reader over an arbitrary file, also with right checksums.
pub fn walk(data: &[u8]) -> u64 {
    let outline = tl::outline(data);
    assert_eq!(outline.iter().map(|element| element.end - element.offset).sum::<usize>(), data.len());
    let repaired = repaired(data);
    let mut behaviour = Vec::new();
    for file in [data, &repaired] {
        for strict in [false, true] {
            let Ok(report) = decode::file(&PLAN, file, strict, &mut Nothing);
            for dropped in &report.dropped {
                assert!(dropped.fault.offset <= file.len());
                let _ = (dropped.fault.wrong.to_string(), dropped.fault.found(file));
            }
            let dropped: Vec<String> = report.dropped.iter().take(3).map(|dropped| field(&dropped.path)).collect();
            let deviations: Vec<_> = report.deviations.iter().take(3).map(|used| used.kind.name()).collect();
            behaviour.push((report.messages.min(4), dropped, deviations));
        }
    }
    digest(behaviour)
}

/// A path without its indices.
fn field(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// `data` with right checksums as far as its messages can be walked.
fn repaired(data: &[u8]) -> Vec<u8> {
    let mut file = data.to_vec();
    let mut at = 0;
    while let Ok(marks) = decode::marks(&file, at) {
        if file[marks.crc] == 0x63 {
            let checksum = _core::crc::x25(&file[marks.start..marks.crc]);
            file[marks.crc + 1..marks.crc + 3].copy_from_slice(&checksum.to_le_bytes());
        }
        at = marks.end;
    }
    file
}

/// With known forms and without, strict and not: the same rows and counters.
pub fn columns(data: &[u8]) -> u64 {
    // The file in the data comes three times in frames, so that its form becomes known.
    let (options, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut stream = rest.to_vec();
    if options & 1 == 1 {
        stream = frame::wrap(&repaired(rest)).repeat(3);
        stream.extend(rest);
    }
    let mut behaviour = Vec::new();
    for strict in [false, true] {
        let read =
            |forms| columns::read(&PLAN, &stream, &Options { max_frame: 8192, strict, forms }).expect("a good plan");
        let (fast, plain) = (read(true), read(false));
        same(&fast, &plain);
        behaviour.push([
            roughly(fast.rows as u64),
            fast.columns.len().min(20) as u32,
            roughly(fast.telegrams),
            roughly(fast.rejected),
            roughly(fast.dropped),
            roughly(fast.deviations),
            roughly(fast.left_out),
            roughly(fast.matched),
        ]);
    }
    digest(behaviour)
}

fn same(fast: &Columns, plain: &Columns) {
    assert_eq!(plain.matched, 0);
    assert_eq!(
        (fast.rows, fast.telegrams, fast.rejected, fast.bytes_skipped),
        (plain.rows, plain.telegrams, plain.rejected, plain.bytes_skipped)
    );
    assert_eq!((fast.dropped, fast.deviations, fast.left_out), (plain.dropped, plain.deviations, plain.left_out));
    assert_eq!((&fast.offset, &fast.time, &fast.time_kind), (&plain.offset, &plain.time, &plain.time_kind));
    assert_eq!((&fast.status, &fast.status_valid), (&plain.status, &plain.status_valid));
    assert_eq!((&fast.server_ends, &fast.server_octets), (&plain.server_ends, &plain.server_octets));
    assert_eq!(fast.columns.len(), plain.columns.len());
    for (one, other) in fast.columns.iter().zip(&plain.columns) {
        assert_eq!((one.code, one.unit), (other.code, other.unit));
        assert_eq!((&one.value, &one.scaler, &one.valid), (&other.value, &other.scaler, &other.valid));
    }
}
