//! TL fields: the type and length in front of every element, and the walk over them.

use std::fmt;

/// More would say nothing: four nibbles already reach 65 535.
pub const MAX_TL_BYTES: usize = 4;
/// Nested lists outside parameter trees; the deepest declared type needs nine.
pub const MAX_DEPTH: usize = 16;
/// Nested parameter trees.
pub const MAX_TREE_DEPTH: usize = 32;
/// A tree costs two lists a level, its own and its child list.
pub const WALK_DEPTH: usize = MAX_DEPTH + 2 * MAX_TREE_DEPTH;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Octets,
    Boolean,
    Integer,
    Unsigned,
    List,
}

impl Kind {
    const fn of(first: u8) -> Option<Kind> {
        match first >> 4 & 7 {
            0 => Some(Kind::Octets),
            4 => Some(Kind::Boolean),
            5 => Some(Kind::Integer),
            6 => Some(Kind::Unsigned),
            7 => Some(Kind::List),
            _ => None,
        }
    }

    /// The name people see, also in outlines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Octets => "octet string",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Unsigned => "unsigned",
            Kind::List => "list",
        }
    }
}

/// One TL field that has been read.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub kind: Kind,
    /// Value bytes; for a list its elements.
    pub length: usize,
    /// Where the value, or the first element, begins.
    pub body: usize,
}

impl Head {
    /// Where a primitive ends; for a list its first element.
    #[inline]
    pub fn next(&self) -> usize {
        if self.kind == Kind::List { self.body } else { self.body + self.length }
    }
}

/// What is wrong at one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: usize,
    pub wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    End,
    ReservedType(u8),
    LongBoolean(u8),
    TooManyTlBytes,
    Continuation(u8),
    ListTooLong {
        elements: usize,
        left: usize,
    },
    LengthTooShort(u8),
    ElementTooLong {
        bytes: usize,
        left: usize,
    },
    BooleanWidth(usize),
    IntegerWidth(usize),
    TooDeep(usize),
    TreesTooDeep,
    TooManyMessages,
    /// Well formed, but not what belongs here.
    Unexpected(String),
    /// CRC of what arrived, and of what was announced; both as their value, not as wire bytes.
    Checksum {
        expected: u16,
        found: u16,
    },
}

impl fmt::Display for Wrong {
    /// What was expected. What was found instead is `Fault::found`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::End => f.write_str("an element"),
            Wrong::ReservedType(_) => f.write_str("a TL byte of a known type"),
            Wrong::LongBoolean(_) => f.write_str("a boolean of one TL byte"),
            Wrong::TooManyTlBytes => write!(f, "at most {MAX_TL_BYTES} TL bytes"),
            Wrong::Continuation(_) => f.write_str("a TL continuation byte"),
            Wrong::ListTooLong { .. } => f.write_str("a list that fits the data"),
            Wrong::LengthTooShort(_) => f.write_str("a length that covers its own TL bytes"),
            Wrong::ElementTooLong { .. } => f.write_str("an element that fits the data"),
            Wrong::BooleanWidth(_) => f.write_str("a boolean of one byte"),
            Wrong::IntegerWidth(_) => f.write_str("an integer of 1 to 8 bytes"),
            Wrong::TooDeep(limit) => write!(f, "at most {limit} nested lists"),
            Wrong::TreesTooDeep => write!(f, "at most {MAX_TREE_DEPTH} nested trees"),
            Wrong::TooManyMessages => write!(f, "at most {} messages", crate::decode::MAX_MESSAGES),
            Wrong::Unexpected(what) => f.write_str(what),
            Wrong::Checksum { expected, .. } => write!(f, "CRC {expected:#06x}"),
        }
    }
}

impl Fault {
    pub fn unexpected(offset: usize, expected: impl Into<String>) -> Fault {
        Fault { offset, wrong: Wrong::Unexpected(expected.into()) }
    }

    /// What stands at the offset instead, in words.
    pub fn found(&self, data: &[u8]) -> String {
        match &self.wrong {
            Wrong::End => "the end of the data".into(),
            Wrong::ReservedType(byte)
            | Wrong::LongBoolean(byte)
            | Wrong::Continuation(byte)
            | Wrong::LengthTooShort(byte) => format!("{byte:02x}"),
            Wrong::TooManyTlBytes | Wrong::TooDeep(_) | Wrong::TreesTooDeep | Wrong::TooManyMessages => "more".into(),
            Wrong::ListTooLong { elements, left } => format!("{elements} elements in {}", bytes(*left)),
            Wrong::ElementTooLong { bytes, left } => format!("{} where {left} are left", self::bytes(*bytes)),
            Wrong::BooleanWidth(width) | Wrong::IntegerWidth(width) => bytes(*width),
            Wrong::Checksum { found, .. } => format!("{found:#06x}"),
            Wrong::Unexpected(_) => describe(data, self.offset),
        }
    }
}

/// A number of bytes in words.
pub fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}

/// The element at `offset` in words.
fn describe(data: &[u8], offset: usize) -> String {
    match head(data, offset) {
        Ok(head) if head.kind == Kind::List => format!("a list of {}", head.length),
        Ok(head) => {
            let shown = &data[offset..head.next().min(offset + 12)];
            let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} of {} ({})", head.kind.name(), bytes(head.length), hex.join(" "))
        }
        Err(_) if offset >= data.len() => "the end of the data".into(),
        Err(_) if data[offset] == 0 => "an end mark 00".into(),
        Err(fault) => fault.found(data),
    }
}

/// Read the TL field at `offset`.
#[inline]
pub fn head(data: &[u8], offset: usize) -> Result<Head, Fault> {
    // Nearly every element has one TL byte and fits; all that is left to say is said elsewhere.
    if let Some(&first) = data.get(offset)
        && let Some(kind) = SHORT[usize::from(first)]
    {
        let length = usize::from(first & 15) - usize::from(kind != Kind::List);
        if length < data.len() - offset {
            return Ok(Head { kind, length, body: offset + 1 });
        }
    }
    any_head(data, offset)
}

/// The type of each TL byte that is whole and legal by itself.
static SHORT: [Option<Kind>; 256] = {
    let mut short = [None; 256];
    let mut first = 0;
    while first < 0x80 {
        let length = first & 15;
        short[first] = match (Kind::of(first as u8), length) {
            (Some(Kind::Octets), 1..) => Some(Kind::Octets),
            (Some(Kind::Boolean), 2) => Some(Kind::Boolean),
            (Some(Kind::Integer), 2..=9) => Some(Kind::Integer),
            (Some(Kind::Unsigned), 2..=9) => Some(Kind::Unsigned),
            (Some(Kind::List), _) => Some(Kind::List),
            _ => None,
        };
        first += 1;
    }
    short
};

/// Any TL field, long ones and wrong ones.
#[cold]
fn any_head(data: &[u8], offset: usize) -> Result<Head, Fault> {
    let wrong = |wrong| Fault { offset, wrong };
    let Some(&first) = data.get(offset) else { return Err(wrong(Wrong::End)) };
    let kind = Kind::of(first).ok_or_else(|| wrong(Wrong::ReservedType(first)))?;
    let mut length = usize::from(first & 15);
    let mut body = offset + 1;
    if first & 0x80 != 0 {
        if kind == Kind::Boolean {
            return Err(wrong(Wrong::LongBoolean(first)));
        }
        loop {
            if body - offset == MAX_TL_BYTES {
                return Err(wrong(Wrong::TooManyTlBytes));
            }
            let Some(&byte) = data.get(body) else { return Err(wrong(Wrong::End)) };
            if byte & 0x70 != 0 {
                return Err(wrong(Wrong::Continuation(byte)));
            }
            length = length << 4 | usize::from(byte & 15);
            body += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    let left = data.len() - body;
    if kind == Kind::List {
        // Each element takes at least a byte, so a longer list cannot be whole.
        if length > left {
            return Err(wrong(Wrong::ListTooLong { elements: length, left }));
        }
        return Ok(Head { kind, length, body });
    }
    let Some(length) = length.checked_sub(body - offset) else { return Err(wrong(Wrong::LengthTooShort(first))) };
    if length > left {
        return Err(wrong(Wrong::ElementTooLong { bytes: length, left }));
    }
    match kind {
        Kind::Boolean if length != 1 => Err(wrong(Wrong::BooleanWidth(length))),
        Kind::Integer | Kind::Unsigned if !(1..=8).contains(&length) => Err(wrong(Wrong::IntegerWidth(length))),
        _ => Ok(Head { kind, length, body }),
    }
}

/// The offset behind the element at `offset`, all its elements included.
pub fn skip(data: &[u8], offset: usize, deepest: usize) -> Result<usize, Fault> {
    debug_assert!(deepest <= WALK_DEPTH);
    let outer = head(data, offset)?;
    if outer.kind != Kind::List {
        return Ok(outer.next());
    }
    if deepest == 0 {
        return Err(Fault { offset, wrong: Wrong::TooDeep(deepest) });
    }
    // A list has at most 65 535 elements, for its length has four nibbles.
    let mut pending = [0u16; WALK_DEPTH];
    let (mut at, mut left, mut depth) = (outer.body, outer.length as u16, 1);
    loop {
        while left == 0 {
            depth -= 1;
            if depth == 0 {
                return Ok(at);
            }
            left = pending[depth];
        }
        left -= 1;
        let head = head(data, at)?;
        if head.kind == Kind::List {
            if depth == deepest {
                return Err(Fault { offset: at, wrong: Wrong::TooDeep(deepest) });
            }
            pending[depth] = left;
            depth += 1;
            left = head.length as u16;
        }
        at = head.next();
    }
}

/// Big-endian value of at most eight bytes, sign-extended where `signed`.
#[inline]
pub fn integer(raw: &[u8], signed: bool) -> i64 {
    debug_assert!((1..=8).contains(&raw.len()));
    let negative = signed && raw[0] & 0x80 != 0;
    raw.iter().fold(if negative { -1 } else { 0 }, |value, &byte| value << 8 | i64::from(byte))
}

/// Write the TL field of an octet string of `length` bytes, which its length counts too.
pub fn write_octets_head(wire: &mut Vec<u8>, length: usize) {
    let mut count = 1;
    while length + count >= 1 << (4 * count) {
        count += 1;
    }
    write_head(wire, 0, length + count, count);
}

/// Write the TL field of a list of `elements`.
pub fn write_list_head(wire: &mut Vec<u8>, elements: usize) {
    let mut count = 1;
    while elements >= 1 << (4 * count) {
        count += 1;
    }
    write_head(wire, 7, elements, count);
}

fn write_head(wire: &mut Vec<u8>, kind: u8, length: usize, count: usize) {
    for index in (0..count).rev() {
        let nibble = (length >> (4 * index)) as u8 & 15;
        let first = if index == count - 1 { kind << 4 } else { 0 };
        wire.push(nibble | first | if index > 0 { 0x80 } else { 0 });
    }
}

/// The fewest bytes that hold `value`.
pub fn fewest_bytes(value: i64, signed: bool) -> usize {
    let magnitude = if signed && value < 0 { !value as u64 } else { value as u64 };
    let bits = 64 - magnitude.leading_zeros() as usize + usize::from(signed);
    bits.div_ceil(8).max(1)
}

/// One element of an outline.
pub struct Element {
    pub offset: usize,
    pub depth: usize,
    pub kind: &'static str,
    pub length: usize,
    pub end: usize,
}

/// Every element of `data` in order, whatever it is. Where the bytes stop making sense the rest
/// is one element `malformed`.
pub fn outline(data: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut pending: Vec<usize> = Vec::new();
    let mut offset = 0;
    while offset < data.len() {
        while pending.last() == Some(&0) {
            pending.pop();
        }
        let depth = pending.len();
        if let Some(count) = pending.last_mut() {
            *count -= 1;
        }
        let (kind, length, end) = match head(data, offset) {
            _ if data[offset] == 0 => ("end of message", 0, offset + 1),
            Ok(head) => {
                if head.kind == Kind::List {
                    pending.push(head.length);
                }
                (head.kind.name(), head.length, head.next())
            }
            Err(_) => ("malformed", data.len() - offset, data.len()),
        };
        elements.push(Element { offset, depth, kind, length, end });
        offset = end;
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octet_strings_count_their_own_tl_bytes() {
        for (length, wire) in [
            (0, vec![0x01]),
            (14, vec![0x0F]),
            (15, vec![0x81, 0x01]),
            (253, vec![0x8F, 0x0F]),
            (254, vec![0x81, 0x80, 0x01]),
            (4092, vec![0x8F, 0x8F, 0x0F]),
            (65_531, vec![0x8F, 0x8F, 0x8F, 0x0F]),
        ] {
            let mut written = Vec::new();
            write_octets_head(&mut written, length);
            assert_eq!(written, wire);
            written.resize(written.len() + length, 0xAA);
            let head = head(&written, 0).unwrap();
            assert_eq!((head.kind, head.length, head.next()), (Kind::Octets, length, written.len()));
        }
    }

    #[test]
    fn sixteen_elements_take_two_tl_bytes() {
        let mut wire = Vec::new();
        write_list_head(&mut wire, 16);
        assert_eq!(wire, [0xF1, 0x00]);
        wire.extend([0x01; 16]);
        assert_eq!(skip(&wire, 0, MAX_DEPTH), Ok(18));
    }

    #[test]
    fn a_list_bomb_is_refused_before_anything_is_reserved() {
        let fault = head(&[0xFF, 0x8F, 0x8F, 0x0F], 0).unwrap_err();
        assert_eq!(fault.wrong, Wrong::ListTooLong { elements: 65_535, left: 0 });
    }

    #[test]
    fn five_tl_bytes_are_refused() {
        assert_eq!(head(&[0xF1, 0x80, 0x80, 0x80, 0x00], 0).unwrap_err().wrong, Wrong::TooManyTlBytes);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = [vec![0x71; MAX_DEPTH], vec![0x01]].concat();
        assert_eq!(skip(&deep, 0, MAX_DEPTH), Ok(deep.len()));
        let deeper = [vec![0x71; MAX_DEPTH + 1], vec![0x01]].concat();
        assert_eq!(skip(&deeper, 0, MAX_DEPTH).unwrap_err().wrong, Wrong::TooDeep(MAX_DEPTH));
    }

    #[test]
    fn integers_sign_extend_by_type_alone() {
        assert_eq!(integer(&[0x8B, 0x28], true), -29_912);
        assert_eq!(integer(&[0x8B, 0x28], false), 35_624);
        assert_eq!(fewest_bytes(-129, true), 2);
        assert_eq!(fewest_bytes(128, true), 2);
        assert_eq!(fewest_bytes(128, false), 1);
        assert_eq!(fewest_bytes(-1, false), 8); // the bits of an Unsigned64
    }

    #[test]
    fn an_outline_never_stops() {
        let outline = outline(&[0x72, 0x01, 0x00, 0x30, 0x01]);
        let kinds: Vec<&str> = outline.iter().map(|element| element.kind).collect();
        assert_eq!(kinds, ["list", "octet string", "end of message", "malformed"]);
    }
}
