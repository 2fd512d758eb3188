//! From an SML file to whatever a `Builder` makes of it, run from the plan.
//!
//! There is one reading of the language in Rust: the Python objects and the columns are two
//! builders behind it, so both accept the same bytes.

use crate::crc;
use crate::path::{Path, Step};
use crate::plan::{Choice, ClassId, Form, Plan, Presence, Rule};
use crate::tl::{self, Fault, Head, Kind, MAX_DEPTH, MAX_TREE_DEPTH, WALK_DEPTH, Wrong};

pub const MAX_MESSAGES: usize = 1024;

/// An integer as it stood on the wire.
#[derive(Clone, Copy, Debug)]
pub struct WireInteger {
    pub signed: bool,
    pub width: usize,
    /// Where its value bytes begin.
    pub at: usize,
    /// The value; the bits of an Unsigned64 above the largest i64.
    pub value: i64,
    /// Whether the field's declared width is this width, so that no note of it is needed.
    pub plain: bool,
}

/// The envelope around a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub group_no: u8,
    pub abort_on_error: u8,
    pub tag: u32,
    pub tag_width: usize,
    pub crc_width: usize,
    pub kermit: bool,
    /// The bytes its CRC covers end here, where the CRC field begins.
    pub crc: usize,
    pub start: usize,
}

/// What is made of the elements, bottom up. `Error` is for makers that can fail themselves.
pub trait Builder<'data> {
    type Value;
    type List;
    type Error;

    fn absent(&mut self) -> Self::Value;
    fn octets(&mut self, octets: &'data [u8]) -> Result<Self::Value, Self::Error>;
    fn boolean(&mut self, value: bool) -> Self::Value;
    fn integer(&mut self, integer: WireInteger) -> Result<Self::Value, Self::Error>;
    /// A declared list, or an alternative with its one field.
    fn open_list(&mut self, class: ClassId) -> Result<Self::List, Self::Error>;
    fn set(&mut self, list: &mut Self::List, field: usize, value: Self::Value) -> Result<(), Self::Error>;
    fn close_list(&mut self, list: Self::List) -> Result<Self::Value, Self::Error>;
    /// A list of any number of one kind.
    fn open_many(&mut self, length: usize) -> Result<Self::List, Self::Error>;
    fn close_many(&mut self, list: Self::List) -> Result<Self::Value, Self::Error>;

    /// A new message begins; what an unfinished one before it left behind is void.
    fn begin(&mut self) {}
    fn message(&mut self, envelope: Envelope, id: &'data [u8], body: Self::Value) -> Result<(), Self::Error>;
    fn opaque(&mut self, envelope: Envelope, id: &'data [u8], body: &'data [u8]) -> Result<(), Self::Error>;
}

#[derive(Debug)]
pub enum Failure<E> {
    Fault(Fault),
    Builder(E),
}

impl<E> From<Fault> for Failure<E> {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

/// A tolerated deviation: which, and the bytes it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    pub kind: Tolerated,
    pub offset: usize,
    pub end: usize,
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerated {
    ExtraZeros,
    KermitMessage,
    ShortCrc,
    BareTime,
    MissingValue,
}

impl Tolerated {
    /// The member of the Python enum `Leniency`.
    pub fn name(self) -> &'static str {
        match self {
            Tolerated::ExtraZeros => "EXTRA_ZEROS",
            Tolerated::KermitMessage => "KERMIT_MESSAGE",
            Tolerated::ShortCrc => "SHORT_CRC",
            Tolerated::BareTime => "BARE_TIME",
            Tolerated::MissingValue => "MISSING_VALUE",
        }
    }
}

/// A message, or the rest of the file, that was dropped, and in which field it went wrong.
#[derive(Debug, Clone)]
pub struct Dropped {
    pub fault: Fault,
    pub path: String,
}

#[derive(Debug, Default)]
pub struct Report {
    pub messages: usize,
    pub deviations: Vec<Deviation>,
    pub dropped: Vec<Dropped>,
}

/// Offsets of a message's elements.
#[derive(Debug, Clone, Copy)]
pub struct Marks {
    pub start: usize,
    pub id: usize,
    pub group_no: usize,
    pub abort_on_error: usize,
    pub body: usize,
    pub crc: usize,
    /// Behind the end mark.
    pub end: usize,
}

/// Find the elements of the message at `start` by its TL fields alone.
pub fn marks(data: &[u8], start: usize) -> Result<Marks, Fault> {
    let head = tl::head(data, start)?;
    if (head.kind, head.length) != (Kind::List, 6) {
        return Err(Fault::unexpected(start, "a message (a list of 6)"));
    }
    let next = |at| tl::skip(data, at, WALK_DEPTH - 1);
    let id = head.body;
    let group_no = next(id)?;
    let abort_on_error = next(group_no)?;
    let body = next(abort_on_error)?;
    let crc = next(body)?;
    let end = next(crc)?;
    match data.get(end) {
        Some(0) => Ok(Marks { start, id, group_no, abort_on_error, body, crc, end: end + 1 }),
        _ => Err(Fault::unexpected(end, "the end mark 00")),
    }
}

/// How the CRC of a message was written, when it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    pub width: usize,
    pub kermit: bool,
}

/// Check the CRC field at `crc` over the bytes from `start`.
#[inline]
pub fn checksum(data: &[u8], start: usize, crc: usize, strict: bool) -> Result<Checksum, Fault> {
    let head = tl::head(data, crc)?;
    if head.kind != Kind::Unsigned || head.length > 2 {
        return Err(Fault::unexpected(crc, "unsigned of at most 2 bytes"));
    }
    let wire = tl::integer(&data[head.body..head.next()], false) as u16;
    let covered = &data[start..crc];
    let expected = crc::x25(covered);
    if wire.swap_bytes() == expected {
        return Ok(Checksum { width: head.length, kermit: false });
    }
    if !strict && wire == crc::kermit(covered) {
        return Ok(Checksum { width: head.length, kermit: true });
    }
    Err(Fault { offset: start, wrong: Wrong::Checksum { expected, found: wire.swap_bytes() } })
}

struct Reader<'run, 'plan, 'data, B> {
    plan: &'plan Plan,
    data: &'data [u8],
    strict: bool,
    builder: &'run mut B,
    report: Report,
    path: Path<'plan>,
    trees: usize,
}

/// Read an SML file. What is wrong is dropped and reported, the rest handed to `builder`; with
/// `strict` the reading ends at the first deviation or fault.
pub fn file<'data, B: Builder<'data>>(
    plan: &Plan,
    data: &'data [u8],
    strict: bool,
    builder: &mut B,
) -> Result<Report, B::Error> {
    let mut reader = Reader { plan, data, strict, builder, report: Report::default(), path: Path::default(), trees: 0 };
    reader.run()?;
    Ok(reader.report)
}

impl<'plan, 'data, B: Builder<'data>> Reader<'_, 'plan, 'data, B> {
    fn run(&mut self) -> Result<(), B::Error> {
        let mut at = 0;
        let mut count = 0;
        while at < self.data.len() {
            self.path.reset(None);
            if self.data[at] == 0 {
                let end = self.data[at..].iter().position(|&byte| byte != 0).map_or(self.data.len(), |run| at + run);
                self.tolerate(Tolerated::ExtraZeros, at, end);
                at = end;
            } else if count == MAX_MESSAGES {
                self.drop(Fault { offset: at, wrong: Wrong::TooManyMessages });
                break;
            } else {
                count += 1;
                self.path.reset(Some("Message"));
                // Without the whole message its end is unknown, and so is where the next begins.
                match marks(self.data, at) {
                    Ok(marks) => {
                        self.message(marks)?;
                        at = marks.end;
                    }
                    Err(fault) => {
                        self.drop(fault);
                        break;
                    }
                }
            }
            if self.strict && !(self.report.deviations.is_empty() && self.report.dropped.is_empty()) {
                break;
            }
        }
        Ok(())
    }

    fn message(&mut self, marks: Marks) -> Result<(), B::Error> {
        let kept = self.report.deviations.len();
        self.builder.begin();
        match self.body(marks) {
            Ok(()) => {
                self.report.messages += 1;
                Ok(())
            }
            Err(Failure::Fault(fault)) => {
                // In strict mode the deviation that came first is the answer.
                if !self.strict || self.report.deviations.len() == kept {
                    self.report.deviations.truncate(kept);
                    self.drop(fault);
                }
                Ok(())
            }
            Err(Failure::Builder(error)) => Err(error),
        }
    }

    fn body(&mut self, marks: Marks) -> Result<(), Failure<B::Error>> {
        let Marks { start, id, group_no, abort_on_error, body, crc, .. } = marks;
        self.path.push(Step::Field("crc16"));
        let checksum = checksum(self.data, start, crc, self.strict)?;
        if checksum.kermit {
            self.tolerate(Tolerated::KermitMessage, crc, marks.end - 1);
        }
        if checksum.width == 1 {
            self.tolerate(Tolerated::ShortCrc, crc, marks.end - 1);
        }
        self.path.pop();
        let id = self.named("transaction_id", |reader| {
            let head = reader.expect(id, Kind::Octets, usize::MAX)?;
            Ok(&reader.data[head.body..head.next()])
        })?;
        let group_no = self.named("group_no", |reader| reader.byte(group_no))?;
        let abort_on_error = self.named("abort_on_error", |reader| reader.byte(abort_on_error))?;
        let (tag, tag_width, content) = self.named("body", |reader| {
            let choice = tl::head(reader.data, body)?;
            if (choice.kind, choice.length) != (Kind::List, 2) {
                return Err(Fault::unexpected(body, "a choice (a list of 2)"));
            }
            let head = reader.expect(choice.body, Kind::Unsigned, 4)?;
            let tag = tl::integer(&reader.data[head.body..head.next()], false) as u32;
            Ok((tag, head.length, head.next()))
        })?;
        let envelope = Envelope {
            group_no,
            abort_on_error,
            tag,
            tag_width,
            crc_width: checksum.width,
            kermit: checksum.kermit,
            crc,
            start,
        };
        match self.plan.body(tag) {
            Some(class) => {
                self.path.reset(Some(&self.plan.classes[class].name));
                self.trees = 0;
                let (value, _) = self.list(class, content)?;
                self.builder.message(envelope, id, value).map_err(Failure::Builder)
            }
            None => {
                self.path.reset(Some("OpaqueBody"));
                tl::skip(self.data, content, MAX_DEPTH)?;
                self.builder.opaque(envelope, id, &self.data[content..crc]).map_err(Failure::Builder)
            }
        }
    }

    /// Run `read` with `field` on the path; on failure it stays there for the report.
    #[inline]
    fn named<T>(&mut self, field: &'plan str, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.path.push(Step::Field(field));
        let value = read(self)?;
        self.path.pop();
        Ok(value)
    }

    fn byte(&mut self, at: usize) -> Result<u8, Fault> {
        let head = self.expect(at, Kind::Unsigned, 1)?;
        Ok(self.data[head.body])
    }

    /// The element at `at` when it is a `kind` of at most `width` bytes.
    #[inline(always)]
    fn expect(&self, at: usize, kind: Kind, width: usize) -> Result<Head, Fault> {
        let head = tl::head(self.data, at)?;
        if head.kind == kind && head.length <= width { Ok(head) } else { Err(Self::other_kind(at, kind, width)) }
    }

    #[cold]
    fn other_kind(at: usize, kind: Kind, width: usize) -> Fault {
        match kind {
            Kind::Integer | Kind::Unsigned => {
                Fault::unexpected(at, format!("{} of at most {}", kind.name(), tl::bytes(width)))
            }
            _ => Fault::unexpected(at, kind.name()),
        }
    }

    #[inline]
    fn value(&mut self, rule: &'plan Rule, at: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        match rule {
            Rule::Octets => {
                let head = self.expect(at, Kind::Octets, usize::MAX)?;
                self.octets(head)
            }
            Rule::Boolean => {
                let head = self.expect(at, Kind::Boolean, usize::MAX)?;
                Ok((self.builder.boolean(self.data[head.body] != 0), head.next()))
            }
            Rule::Integer { signed, width } => {
                let kind = if *signed { Kind::Integer } else { Kind::Unsigned };
                let head = self.expect(at, kind, *width)?;
                self.integer(head, *width)
            }
            Rule::Status => {
                let head = self.expect(at, Kind::Unsigned, 8)?;
                self.integer(head, 0)
            }
            Rule::Value { lists } => {
                let head = tl::head(self.data, at)?;
                match head.kind {
                    Kind::Octets => self.octets(head),
                    Kind::Boolean => Ok((self.builder.boolean(self.data[head.body] != 0), head.next())),
                    Kind::Integer | Kind::Unsigned => self.integer(head, 0),
                    Kind::List if *lists => self.choice(&self.plan.list_type, at),
                    Kind::List => Err(Fault::unexpected(at, "a simple value").into()),
                }
            }
            Rule::List(class) => self.list(*class, at),
            Rule::Many(item) => self.many(item, at),
            Rule::Choice(choice) => self.choice(choice, at),
        }
    }

    #[inline]
    fn octets(&mut self, head: Head) -> Result<(B::Value, usize), Failure<B::Error>> {
        let octets = &self.data[head.body..head.next()];
        let value = self.builder.octets(octets).map_err(Failure::Builder)?;
        Ok((value, head.next()))
    }

    #[inline]
    fn integer(&mut self, head: Head, plain_width: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        let signed = head.kind == Kind::Integer;
        let value = tl::integer(&self.data[head.body..head.next()], signed);
        let integer =
            WireInteger { signed, width: head.length, at: head.body, value, plain: head.length == plain_width };
        let value = self.builder.integer(integer).map_err(Failure::Builder)?;
        Ok((value, head.next()))
    }

    fn many(&mut self, item: &'plan Rule, at: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        let head = self.expect(at, Kind::List, usize::MAX)?;
        let mut list = self.builder.open_many(head.length).map_err(Failure::Builder)?;
        let mut at = head.body;
        for index in 0..head.length {
            self.path.push(Step::Index(index));
            let (value, next) = self.value(item, at)?;
            self.path.pop();
            self.builder.set(&mut list, index, value).map_err(Failure::Builder)?;
            at = next;
        }
        Ok((self.builder.close_many(list).map_err(Failure::Builder)?, at))
    }

    fn list(&mut self, id: ClassId, at: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        let class = &self.plan.classes[id];
        let head = tl::head(self.data, at)?;
        if (head.kind, head.length) != (Kind::List, class.fields.len()) {
            return Err(Fault::unexpected(at, format!("a list of {}", class.fields.len())).into());
        }
        if class.form == Form::Tree {
            self.trees += 1;
            if self.trees > MAX_TREE_DEPTH {
                return Err(Fault { offset: at, wrong: Wrong::TreesTooDeep }.into());
            }
        }
        let mut list = self.builder.open_list(id).map_err(Failure::Builder)?;
        let mut at = head.body;
        for (index, field) in class.fields.iter().enumerate() {
            self.path.push(Step::Field(&field.name));
            let absent = field.presence != Presence::Mandatory && self.data.get(at) == Some(&0x01);
            let (value, next) = if absent {
                if field.presence == Presence::Lenient {
                    self.tolerate(Tolerated::MissingValue, at, at + 1);
                }
                (self.builder.absent(), at + 1)
            } else {
                self.value(&field.rule, at)?
            };
            self.path.pop();
            self.builder.set(&mut list, index, value).map_err(Failure::Builder)?;
            at = next;
        }
        self.trees -= usize::from(class.form == Form::Tree);
        Ok((self.builder.close_list(list).map_err(Failure::Builder)?, at))
    }

    fn choice(&mut self, choice: &'plan Choice, at: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        let head = tl::head(self.data, at)?;
        if let (Some(class), Kind::Unsigned, 1..=4) = (choice.bare, head.kind, head.length) {
            self.tolerate(Tolerated::BareTime, at, head.next());
            return self.alternative(class, at);
        }
        if (head.kind, head.length) != (Kind::List, 2) {
            return Err(Fault::unexpected(at, "a choice (a list of 2)").into());
        }
        let tag_head = self.expect(head.body, Kind::Unsigned, 1)?;
        let tag = self.data[tag_head.body];
        let Some(&(_, class)) = choice.alternatives.iter().find(|(known, _)| *known == tag) else {
            let known: Vec<String> = choice.alternatives.iter().map(|(known, _)| format!("{known:02x}")).collect();
            return Err(Fault::unexpected(head.body, format!("a choice tag of {}", known.join(", "))).into());
        };
        match self.plan.classes[class].form {
            Form::Alternative => self.alternative(class, tag_head.next()),
            _ => self.list(class, tag_head.next()),
        }
    }

    fn alternative(&mut self, class: ClassId, at: usize) -> Result<(B::Value, usize), Failure<B::Error>> {
        let mut list = self.builder.open_list(class).map_err(Failure::Builder)?;
        let (value, next) = self.value(&self.plan.classes[class].fields[0].rule, at)?;
        self.builder.set(&mut list, 0, value).map_err(Failure::Builder)?;
        Ok((self.builder.close_list(list).map_err(Failure::Builder)?, next))
    }

    #[cold]
    fn tolerate(&mut self, kind: Tolerated, offset: usize, end: usize) {
        let path = self.path.to_string();
        self.report.deviations.push(Deviation { kind, offset, end, path });
    }

    #[cold]
    fn drop(&mut self, fault: Fault) {
        let path = self.path.to_string();
        self.report.dropped.push(Dropped { fault, path });
    }
}

/// Reads and makes nothing: what remains is the report.
pub struct Nothing;

impl Builder<'_> for Nothing {
    type Value = ();
    type List = ();
    type Error = std::convert::Infallible;

    fn absent(&mut self) {}
    fn octets(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: WireInteger) -> Result<(), Self::Error> {
        Ok(())
    }
    fn open_list(&mut self, _: ClassId) -> Result<(), Self::Error> {
        Ok(())
    }
    fn set(&mut self, _: &mut (), _: usize, _: ()) -> Result<(), Self::Error> {
        Ok(())
    }
    fn close_list(&mut self, _: ()) -> Result<(), Self::Error> {
        Ok(())
    }
    fn open_many(&mut self, _: usize) -> Result<(), Self::Error> {
        Ok(())
    }
    fn close_many(&mut self, _: ()) -> Result<(), Self::Error> {
        Ok(())
    }
    fn message(&mut self, _: Envelope, _: &[u8], _: ()) -> Result<(), Self::Error> {
        Ok(())
    }
    fn opaque(&mut self, _: Envelope, _: &[u8], _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }
}
