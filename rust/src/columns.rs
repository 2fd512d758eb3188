//! Many telegrams to columns: one row for each list response, one column for each object name.
//!
//! Meters repeat themselves. What the generic reader has once accepted is kept as a template:
//! which bytes were structure and must come again, and where the values stand. A telegram that
//! fits a template needs no parsing, only both levels of CRC and a few loads; any other takes the
//! generic path, so the same telegrams are accepted either way.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;

use crate::checksums::Checksums;
use crate::decode::{self, Builder, Envelope, Report, Tolerated, WireInteger};
use crate::frame::{self, Event, Frame, MIN_FRAME, START, Scanner};
use crate::memory::{extend_with_zeros, reserve};
use crate::plan::{ClassId, Plan};

/// Distinct object names; hostile input must not make columns without end.
pub const MAX_COLUMNS: usize = 256;
/// Templates kept; a fleet needs as many as it has kinds of meters.
const MAX_TEMPLATES: usize = 512;
/// Templates of one length, each of which a telegram of that length is compared with.
const MAX_SAME_LENGTH: usize = 16;
/// Rows are added to all columns in blocks, so that absent values cost no work of their own.
const BLOCK: usize = 4096;

/// What `time` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum TimeKind {
    #[default]
    None = 0,
    /// Seconds index: no date.
    Index = 1,
    /// Seconds since 1970, UTC.
    Timestamp = 2,
}

/// Values of one object name. Rows without a value have `valid` 0.
pub struct Column {
    pub code: [u8; 6],
    /// DLMS unit code; 0 for none.
    pub unit: u8,
    pub value: Vec<i64>,
    pub scaler: Vec<i8>,
    pub valid: Vec<u8>,
}

#[derive(Default)]
pub struct Columns {
    pub rows: usize,
    /// Where the telegram of each row began.
    pub offset: Vec<u64>,
    /// Server ID of row r: `server_octets[server_ends[r] .. server_ends[r + 1]]`.
    pub server_ends: Vec<i64>,
    pub server_octets: Vec<u8>,
    pub time: Vec<u32>,
    pub time_kind: Vec<u8>,
    /// Status word of the first entry that carries one.
    pub status: Vec<u64>,
    pub status_valid: Vec<u8>,
    pub columns: Vec<Column>,
    by_code: HashMap<[u8; 6], usize>,

    pub telegrams: u64,
    pub rejected: u64,
    pub bytes_skipped: u64,
    /// Messages dropped in good frames.
    pub dropped: u64,
    /// Leniencies used.
    pub deviations: u64,
    /// Numbers that found no place: beyond i64, a second one of the same name, another unit than
    /// the column's, a name that is no OBIS code, or more names than `MAX_COLUMNS`.
    pub left_out: u64,
    /// Telegrams that fitted a template.
    pub matched: u64,
}

pub struct Options {
    pub max_frame: usize,
    pub strict: bool,
    /// Off only to show that the result is the same without.
    pub templates: bool,
}

/// Read every telegram of `data`.
pub fn read(plan: &Plan, data: &[u8], options: &Options) -> Result<Columns, String> {
    let roles = Roles::of(plan)?;
    let mut columns = Columns { server_ends: vec![0], ..Columns::default() };
    let mut templates = Templates::default();
    let mut scanner = Scanner::new(options.max_frame, options.strict);
    let mut rows = Rows::new(&roles);
    let mut accepted = 0;
    loop {
        if scanner.between_frames()
            && let Some(length) = templates.follow(data, scanner.position(), &mut columns)
        {
            scanner.jump(scanner.position() + length);
            accepted += length;
            continue;
        }
        match scanner.next(data, true) {
            None => break,
            Some(Event::Rejected { .. }) => columns.rejected += 1,
            Some(Event::Frame(frame)) => {
                let raw = &data[frame.start..frame.end];
                accepted += raw.len();
                if templates.fit(raw, frame.start, &mut columns) {
                    continue;
                }
                let found = rows.read(plan, raw, &frame, options.strict, &mut columns);
                if let Some((row, report)) = found
                    && options.templates
                {
                    templates.learn(raw, &row, &rows, &report, &columns);
                }
            }
        }
    }
    columns.bytes_skipped = (data.len() - accepted) as u64;
    columns.truncate(columns.rows);
    Ok(columns)
}

impl Columns {
    fn add(&mut self, row: &Row, offset: usize) {
        let at = self.open_row(offset, &row.server_id);
        (self.time[at], self.time_kind[at]) = row.time();
        if let Some(status) = row.status {
            self.status[at] = status.value as u64;
            self.status_valid[at] = 1;
        }
        for entry in &row.numbers {
            match self.place(entry) {
                Some(column) if self.columns[column].valid[at] == 0 && entry.value.fits() => {
                    let column = &mut self.columns[column];
                    column.value[at] = entry.value.value;
                    column.scaler[at] = entry.scaler;
                    column.valid[at] = 1;
                }
                _ => self.left_out += 1,
            }
        }
    }

    #[inline]
    fn open_row(&mut self, offset: usize, server_id: &[u8]) -> usize {
        let row = self.rows;
        if row.is_multiple_of(BLOCK) {
            self.grow(row + BLOCK);
        }
        self.rows += 1;
        self.offset[row] = offset as u64;
        self.server_octets.extend_from_slice(server_id);
        self.server_ends.push(self.server_octets.len() as i64);
        row
    }

    #[cold]
    fn grow(&mut self, rows: usize) {
        extend_with_zeros(&mut self.offset, rows);
        extend_with_zeros(&mut self.time, rows);
        extend_with_zeros(&mut self.time_kind, rows);
        extend_with_zeros(&mut self.status, rows);
        extend_with_zeros(&mut self.status_valid, rows);
        reserve(&mut self.server_ends, rows + 1);
        for column in &mut self.columns {
            column.grow(rows);
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.offset.truncate(rows);
        self.time.truncate(rows);
        self.time_kind.truncate(rows);
        self.status.truncate(rows);
        self.status_valid.truncate(rows);
        for column in &mut self.columns {
            column.value.truncate(rows);
            column.scaler.truncate(rows);
            column.valid.truncate(rows);
        }
    }

    /// The column a number belongs to, made when its name is new.
    fn place(&mut self, entry: &Number) -> Option<usize> {
        let code = entry.code?;
        match self.by_code.get(&code) {
            Some(&column) => (self.columns[column].unit == entry.unit).then_some(column),
            None if self.columns.len() < MAX_COLUMNS => {
                let mut column =
                    Column { code, unit: entry.unit, value: Vec::new(), scaler: Vec::new(), valid: Vec::new() };
                column.grow(self.offset.len());
                self.by_code.insert(code, self.columns.len());
                self.columns.push(column);
                Some(self.columns.len() - 1)
            }
            None => None,
        }
    }
}

impl Column {
    fn grow(&mut self, rows: usize) {
        extend_with_zeros(&mut self.value, rows);
        extend_with_zeros(&mut self.scaler, rows);
        extend_with_zeros(&mut self.valid, rows);
    }
}

// --- one row ----------------------------------------------------------------------------------

/// An integer and where its bytes stand.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    width: usize,
    signed: bool,
    value: i64,
}

impl Place {
    fn fits(&self) -> bool {
        self.signed || self.value >= 0
    }
}

struct Number {
    /// None for names that are no OBIS code.
    code: Option<[u8; 6]>,
    unit: u8,
    scaler: i8,
    value: Place,
}

/// What one list response says.
struct Row {
    server_id: Vec<u8>,
    server_at: usize,
    /// In the order of trust; the first that is not zero counts.
    times: Vec<(TimeKind, Place)>,
    status: Option<Place>,
    numbers: Vec<Number>,
}

impl Row {
    fn time(&self) -> (u32, u8) {
        first_set(self.times.iter().map(|(kind, place)| (*kind, place.value as u32)))
    }
}

/// The first time that is not zero: meters fill times they do not know with zeros (quirk Q8).
#[inline]
fn first_set(times: impl Iterator<Item = (TimeKind, u32)>) -> (u32, u8) {
    for (kind, seconds) in times {
        if seconds != 0 {
            return (seconds, kind as u8);
        }
    }
    (0, TimeKind::None as u8)
}

/// Which classes and fields of the plan the columns are made of.
struct Roles {
    entry: ClassId,
    list: ClassId,
    open: ClassId,
    index: ClassId,
    bare_index: ClassId,
    timestamp: ClassId,
    local_timestamp: ClassId,
}

/// Fields of ListEntry.
const OBJ_NAME: usize = 0;
const STATUS: usize = 1;
const VAL_TIME: usize = 2;
const UNIT: usize = 3;
const SCALER: usize = 4;
const VALUE: usize = 5;
/// Fields of GetListResponse and PublicOpenResponse.
const SERVER_ID: usize = 1;
const ACT_SENSOR_TIME: usize = 3;
const REF_TIME: usize = 4;

impl Roles {
    fn of(plan: &Plan) -> Result<Roles, String> {
        let class = |name: &str, fields: &[(usize, &str)]| {
            let id = plan.class_id(name).ok_or_else(|| format!("the plan has no {name}"))?;
            for &(index, field) in fields {
                if plan.classes[id].fields.get(index).is_none_or(|known| known.name != field) {
                    return Err(format!("field {index} of {name} is not {field}"));
                }
            }
            Ok(id)
        };
        Ok(Roles {
            entry: class(
                "ListEntry",
                &[
                    (OBJ_NAME, "obj_name"),
                    (STATUS, "status"),
                    (VAL_TIME, "val_time"),
                    (UNIT, "unit"),
                    (SCALER, "scaler"),
                    (VALUE, "value"),
                ],
            )?,
            list: class("GetListResponse", &[(SERVER_ID, "server_id"), (ACT_SENSOR_TIME, "act_sensor_time")])?,
            open: class("PublicOpenResponse", &[(REF_TIME, "ref_time")])?,
            index: class("SecIndex", &[(0, "value")])?,
            bare_index: class("BareSecIndex", &[(0, "value")])?,
            timestamp: class("Timestamp", &[(0, "value")])?,
            local_timestamp: class("LocalTimestamp", &[(0, "timestamp")])?,
        })
    }
}

/// What became of an element.
#[derive(Clone, Copy, Default)]
enum Spot {
    #[default]
    Other,
    Octets {
        at: usize,
        length: usize,
    },
    Integer(Place),
    Time(TimeKind, Place),
}

const FIELDS: usize = 7;

#[derive(Clone, Copy)]
struct List {
    class: Option<ClassId>,
    fields: [Spot; FIELDS],
}

#[derive(Clone, Copy)]
struct Entry {
    name: (usize, usize),
    status: Option<Place>,
    time: Option<(TimeKind, Place)>,
    unit: u8,
    scaler: i8,
    value: Option<Place>,
}

#[derive(Clone)]
struct Draft {
    server_id: (usize, usize),
    time: Option<(TimeKind, Place)>,
    entries: Range<usize>,
}

struct Span {
    start: usize,
    crc: usize,
}

/// The builder behind the columns: remembers where in the payload the values stand.
struct Rows<'run> {
    roles: &'run Roles,
    /// Address of the payload, to turn slices into offsets.
    origin: usize,
    entries: Vec<Entry>,
    drafts: Vec<Draft>,
    ref_time: Option<(TimeKind, Place)>,
    messages: Vec<Span>,
    /// Bytes that may differ in the next telegram.
    variable: Vec<(usize, usize)>,
    plain_checksums: bool,
    kept: usize,
    open: Option<(TimeKind, Place)>,
    list: Option<Draft>,
}

impl<'run> Rows<'run> {
    fn new(roles: &'run Roles) -> Rows<'run> {
        Rows {
            roles,
            origin: 0,
            entries: Vec::new(),
            drafts: Vec::new(),
            ref_time: None,
            messages: Vec::new(),
            variable: Vec::new(),
            plain_checksums: true,
            kept: 0,
            open: None,
            list: None,
        }
    }

    /// Read a frame the generic way. Where it holds exactly one row in its plainest form, that
    /// row comes back to be learnt from.
    fn read(
        &mut self,
        plan: &Plan,
        raw: &[u8],
        frame: &Frame,
        strict: bool,
        columns: &mut Columns,
    ) -> Option<(Row, Report)> {
        let payload = frame::payload(raw, frame);
        self.reset(&payload);
        let Ok(report) = decode::file(plan, &payload, strict, self);
        columns.telegrams += 1;
        // In strict mode one deviation refuses the file, as it does for objects.
        if strict && !(report.deviations.is_empty() && report.dropped.is_empty()) {
            columns.dropped += 1;
            return None;
        }
        let noted = [frame.kermit, frame.fill > 3].into_iter().filter(|&used| used).count();
        columns.deviations += (report.deviations.len() + noted) as u64;
        columns.dropped += report.dropped.len() as u64;
        let mut found = self.values(&payload);
        for row in &found {
            columns.add(row, frame.start);
        }
        let plain = found.len() == 1 && report.dropped.is_empty() && noted == 0 && !frame.escapes;
        plain.then(|| (found.remove(0), report))
    }

    fn reset(&mut self, payload: &[u8]) {
        self.origin = payload.as_ptr() as usize;
        self.entries.clear();
        self.drafts.clear();
        self.ref_time = None;
        self.messages.clear();
        self.variable.clear();
        self.plain_checksums = true;
        self.kept = 0;
    }

    fn spot(&self, octets: &[u8]) -> (usize, usize) {
        (octets.as_ptr() as usize - self.origin, octets.len())
    }

    /// The rows of the file that has just been read.
    fn values(&self, payload: &[u8]) -> Vec<Row> {
        let row = |draft: &Draft| {
            let entries = &self.entries[draft.entries.clone()];
            let (at, length) = draft.server_id;
            let number = |entry: &Entry| {
                let (at, length) = entry.name;
                let code = payload[at..at + length].try_into().ok();
                entry.value.map(|value| Number { code, unit: entry.unit, scaler: entry.scaler, value })
            };
            Row {
                server_id: payload[at..at + length].to_vec(),
                server_at: at,
                times: [draft.time, self.ref_time]
                    .into_iter()
                    .chain(entries.iter().map(|entry| entry.time))
                    .flatten()
                    .collect(),
                status: entries.iter().find_map(|entry| entry.status),
                numbers: entries.iter().filter_map(number).collect(),
            }
        };
        self.drafts.iter().map(row).collect()
    }

    fn note(&mut self, envelope: Envelope, id: &[u8]) {
        let (at, length) = self.spot(id);
        self.variable.push((at, length));
        self.plain_checksums &= !envelope.kermit && envelope.crc_width == 2;
        self.messages.push(Span { start: envelope.start, crc: envelope.crc });
    }
}

impl<'data> Builder<'data> for Rows<'_> {
    type Value = Spot;
    type List = List;
    type Error = Infallible;

    fn absent(&mut self) -> Spot {
        Spot::Other
    }

    fn octets(&mut self, octets: &'data [u8]) -> Result<Spot, Infallible> {
        let (at, length) = self.spot(octets);
        Ok(Spot::Octets { at, length })
    }

    fn boolean(&mut self, _: bool) -> Spot {
        Spot::Other
    }

    fn integer(&mut self, integer: WireInteger) -> Result<Spot, Infallible> {
        let WireInteger { at, width, signed, value, .. } = integer;
        Ok(Spot::Integer(Place { at, width, signed, value }))
    }

    fn open_list(&mut self, class: ClassId) -> Result<List, Infallible> {
        Ok(List { class: Some(class), fields: [Spot::Other; FIELDS] })
    }

    fn set(&mut self, list: &mut List, field: usize, value: Spot) -> Result<(), Infallible> {
        let structure = list.class == Some(self.roles.entry) && matches!(field, OBJ_NAME | UNIT | SCALER);
        match value {
            Spot::Octets { at, length } if !structure => self.variable.push((at, length)),
            Spot::Integer(place) if !structure => self.variable.push((place.at, place.width)),
            _ => {}
        }
        if let Some(spot) = list.fields.get_mut(field) {
            *spot = value;
        }
        Ok(())
    }

    fn close_list(&mut self, list: List) -> Result<Spot, Infallible> {
        let Some(class) = list.class else { return Ok(Spot::Other) };
        let roles = self.roles;
        let fields = &list.fields;
        let time = |spot: Spot| match spot {
            Spot::Time(kind, place) => Some((kind, place)),
            _ => None,
        };
        let octets = |spot: Spot| match spot {
            Spot::Octets { at, length } => (at, length),
            _ => (0, 0),
        };
        let integer = |spot: Spot| match spot {
            Spot::Integer(place) => Some(place),
            _ => None,
        };
        if class == roles.entry {
            self.entries.push(Entry {
                name: octets(fields[OBJ_NAME]),
                status: integer(fields[STATUS]),
                time: time(fields[VAL_TIME]),
                unit: integer(fields[UNIT]).map_or(0, |unit| unit.value as u8),
                scaler: integer(fields[SCALER]).map_or(0, |scaler| scaler.value as i8),
                value: integer(fields[VALUE]),
            });
        } else if class == roles.list {
            self.list = Some(Draft {
                server_id: octets(fields[SERVER_ID]),
                time: time(fields[ACT_SENSOR_TIME]),
                entries: self.kept..self.entries.len(),
            });
        } else if class == roles.open {
            self.open = time(fields[REF_TIME]);
        } else if let Spot::Integer(place) = fields[0] {
            if class == roles.index || class == roles.bare_index {
                return Ok(Spot::Time(TimeKind::Index, place));
            }
            if class == roles.timestamp || class == roles.local_timestamp {
                return Ok(Spot::Time(TimeKind::Timestamp, place));
            }
        }
        Ok(Spot::Other)
    }

    fn open_many(&mut self, _: usize) -> Result<List, Infallible> {
        Ok(List { class: None, fields: [Spot::Other; FIELDS] })
    }

    fn close_many(&mut self, _: List) -> Result<Spot, Infallible> {
        Ok(Spot::Other)
    }

    fn begin(&mut self) {
        self.entries.truncate(self.kept);
        self.open = None;
        self.list = None;
    }

    fn message(&mut self, envelope: Envelope, id: &'data [u8], _: Spot) -> Result<(), Infallible> {
        self.note(envelope, id);
        if let Some(draft) = self.list.take() {
            self.drafts.push(draft);
            self.kept = self.entries.len();
        }
        if self.ref_time.is_none() {
            self.ref_time = self.open.take();
        }
        Ok(())
    }

    fn opaque(&mut self, envelope: Envelope, id: &'data [u8], _: &'data [u8]) -> Result<(), Infallible> {
        self.note(envelope, id);
        Ok(())
    }
}

// --- templates --------------------------------------------------------------------------------

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
struct Template {
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
    /// The template that came after this one the last time.
    next: usize,
}

#[derive(Default)]
struct Templates {
    known: Vec<Template>,
    by_length: HashMap<usize, Vec<usize>>,
    last: usize,
}

impl Templates {
    /// Take the telegram at `at` if it is the one we expect; returns its length.
    #[inline]
    fn follow(&mut self, data: &[u8], at: usize, columns: &mut Columns) -> Option<usize> {
        let expected = self.known.get(self.last)?.next;
        let template = &self.known[expected];
        let raw = data.get(at..at + template.length)?;
        (template.fits(raw) && template.checksums.right(raw)).then(|| {
            template.extract(raw, at, columns);
            self.last = expected;
            raw.len()
        })
    }

    /// Take a frame the scanner has accepted if it fits any template.
    fn fit(&mut self, raw: &[u8], at: usize, columns: &mut Columns) -> bool {
        let Some(candidates) = self.by_length.get(&raw.len()) else { return false };
        for &candidate in candidates {
            let template = &self.known[candidate];
            if template.fits(raw) && template.checksums.right(raw) {
                template.extract(raw, at, columns);
                self.known[self.last].next = candidate;
                self.last = candidate;
                return true;
            }
        }
        false
    }

    fn learn(&mut self, raw: &[u8], row: &Row, rows: &Rows<'_>, report: &Report, columns: &Columns) {
        let by_form = |kind| matches!(kind, Tolerated::BareTime | Tolerated::MissingValue | Tolerated::ExtraZeros);
        let same_length = self.by_length.entry(raw.len()).or_default();
        if !rows.plain_checksums
            || !report.deviations.iter().all(|deviation| by_form(deviation.kind))
            || self.known.len() == MAX_TEMPLATES
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
        let template = Template {
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
        self.known.push(template);
        self.known[self.last].next = id;
        self.last = id;
    }
}

impl Template {
    /// Whether `raw` differs from the template only where it may, and holds no run of 1b.
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
