//! From a telegram to rows, the generic way: a builder that remembers where the values stand.

use std::convert::Infallible;
use std::ops::Range;

use crate::columns::Columns;
use crate::decode::{self, Builder, Envelope, Report, WireInteger};
use crate::frame::{self, Frame};
use crate::plan::{ClassId, Plan};

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

/// An integer and where its bytes stand.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub at: usize,
    pub width: usize,
    pub signed: bool,
    pub value: i64,
}

impl Place {
    /// Whether an i64 holds it: the bits of a larger Unsigned64 look negative.
    pub fn fits(&self) -> bool {
        self.signed || self.value >= 0
    }
}

pub struct Number {
    /// None for names that are no OBIS code.
    pub code: Option<[u8; 6]>,
    pub unit: u8,
    pub scaler: i8,
    pub value: Place,
}

/// What one list response says.
pub struct Row {
    pub server_id: Vec<u8>,
    pub server_at: usize,
    /// In the order of trust; the first that is not zero counts.
    pub times: Vec<(TimeKind, Place)>,
    pub status: Option<Place>,
    pub numbers: Vec<Number>,
}

impl Row {
    pub fn time(&self) -> (u32, u8) {
        first_set(self.times.iter().map(|(kind, place)| (*kind, place.value as u32)))
    }
}

/// The first time that is not zero: meters fill times they do not know with zeros (quirk Q8).
#[inline]
pub fn first_set(times: impl Iterator<Item = (TimeKind, u32)>) -> (u32, u8) {
    for (kind, seconds) in times {
        if seconds != 0 {
            return (seconds, kind as u8);
        }
    }
    (0, TimeKind::None as u8)
}

/// Which classes and fields of the plan the columns are made of.
pub struct Roles {
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
    pub fn of(plan: &Plan) -> Result<Roles, String> {
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
pub enum Spot {
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
pub struct List {
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

pub struct Span {
    pub start: usize,
    pub crc: usize,
}

/// The builder behind the columns: remembers where in the payload the values stand.
pub struct Rows<'run> {
    roles: &'run Roles,
    /// Address of the payload, to turn slices into offsets.
    origin: usize,
    entries: Vec<Entry>,
    drafts: Vec<Draft>,
    ref_time: Option<(TimeKind, Place)>,
    pub messages: Vec<Span>,
    /// Bytes that may differ in the next telegram.
    pub variable: Vec<(usize, usize)>,
    pub plain_checksums: bool,
    kept: usize,
    /// The open response of the message being read, and its time.
    open: Option<Option<(TimeKind, Place)>>,
    opened: bool,
    list: Option<Draft>,
}

impl<'run> Rows<'run> {
    pub fn new(roles: &'run Roles) -> Rows<'run> {
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
            opened: false,
            list: None,
        }
    }

    /// Read a frame the generic way. Where it holds exactly one row in its plainest form, that
    /// row comes back to be learnt from.
    pub fn read(
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
        self.opened = false;
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
            self.open = Some(time(fields[REF_TIME]));
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
        if let (Some(ref_time), false) = (self.open.take(), self.opened) {
            self.ref_time = ref_time;
            self.opened = true;
        }
        Ok(())
    }

    fn opaque(&mut self, envelope: Envelope, id: &'data [u8], _: &'data [u8]) -> Result<(), Infallible> {
        self.note(envelope, id);
        Ok(())
    }
}
