//! From Python objects of the declared types to an SML file, run from the plan.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyTuple};

use crate::crc;
use crate::objects::PyPlan;
use crate::path::{Path, Step};
use crate::plan::{Choice, ClassId, Form, Presence, Rule};
use crate::template::{Field, FieldKind};
use crate::tl::{self, MAX_DEPTH, MAX_TL_BYTES, MAX_TREE_DEPTH};

/// The longest octet string whose length fits the TL bytes.
const LONGEST_OCTETS: usize = 0xFFFF - MAX_TL_BYTES;
const LONGEST_LIST: usize = 0xFFFF;

/// What cannot be written: what belongs in this place.
enum Failure {
    Expected(String),
    Python(PyErr),
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Failure::Python(error)
    }
}

fn expected<T>(what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Expected(what.into()))
}

/// Where a value stands in the file that was written.
pub struct Place {
    pub message: usize,
    pub path: String,
    pub field: Field,
}

struct Writer<'plan> {
    plan: &'plan PyPlan,
    minimal: bool,
    wire: Vec<u8>,
    path: Path<'plan>,
    trees: usize,
    /// Where every value of every message stands, when that is asked for.
    places: Option<Vec<Place>>,
    message: usize,
    /// What stood in the place that failed.
    culprit: Option<Py<PyAny>>,
}

/// Write `messages`, one behind the other. Raises the plan's error with the field's path.
pub fn file(plan: &PyPlan, messages: &Bound<'_, PyAny>, minimal: bool) -> PyResult<Vec<u8>> {
    Ok(write(plan, messages, minimal, None)?.wire)
}

/// Write `messages` and tell where every value stands.
pub fn file_with_places(plan: &PyPlan, messages: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, Vec<Place>)> {
    let writer = write(plan, messages, false, Some(Vec::new()))?;
    Ok((writer.wire, writer.places.unwrap_or_default()))
}

fn write<'plan>(
    plan: &'plan PyPlan,
    messages: &Bound<'_, PyAny>,
    minimal: bool,
    places: Option<Vec<Place>>,
) -> PyResult<Writer<'plan>> {
    let wire = Vec::with_capacity(512);
    let mut writer = Writer { plan, minimal, wire, path: Path::default(), trees: 0, places, message: 0, culprit: None };
    for (index, message) in messages.try_iter()?.enumerate() {
        let message = message?;
        writer.message = index;
        match writer.message(&message) {
            Ok(()) => {}
            Err(Failure::Python(error)) => return Err(error),
            Err(Failure::Expected(what)) => {
                let culprit = writer.culprit.as_ref().map_or(&message, |culprit| culprit.bind(message.py()));
                let path = writer.path.to_string();
                let error = plan.encode_error.bind(message.py()).call1((path, what, culprit))?;
                return Err(PyErr::from_value(error));
            }
        }
    }
    Ok(writer)
}

impl<'plan> Writer<'plan> {
    fn message(&mut self, message: &Bound<'_, PyAny>) -> Result<(), Failure> {
        self.path.reset(Some("Message"));
        if !self.plan.is_message(message) {
            return expected("a Message");
        }
        let start = self.wire.len();
        self.wire.push(0x76);
        let byte = Rule::Integer { signed: false, width: 1 };
        for (index, (name, rule)) in
            [("transaction_id", &Rule::Octets), ("group_no", &byte), ("abort_on_error", &byte)].into_iter().enumerate()
        {
            self.path.push(Step::Field(name));
            let value = self.plan.message_field(message, index)?;
            // The two rules live here, not in the plan; neither leads to a step of the path.
            self.primitive(rule, &value)?;
            self.path.pop();
        }
        let body = self.plan.message_field(message, 3)?;
        let form = self.plan.message_field(message, 4)?;
        let (tag_width, crc_width, kermit): (usize, usize, bool) = (
            form.getattr("tag_width")?.extract()?,
            form.getattr("crc_width")?.extract()?,
            form.getattr("kermit")?.extract()?,
        );
        self.wire.push(0x72);
        if self.plan.is_opaque(&body) {
            self.opaque(&body, tag_width)?;
        } else {
            self.path.push(Step::Field("body"));
            let class = self.plan.class_of(&body);
            let tag = class.and_then(|class| self.plan.plan.bodies.iter().find(|(_, id)| *id == class));
            let Some(&(tag, class)) = tag else {
                self.culprit = Some(body.unbind());
                return expected("a message body");
            };
            self.path.reset(Some(&self.plan.plan.classes[class].name));
            self.tag(tag, tag_width);
            self.trees = 0;
            self.list(class, &body)?;
        }
        let covered = &self.wire[start..];
        let crc = if kermit { crc::kermit(covered) } else { crc::x25(covered).swap_bytes() };
        let width = crc_width.clamp(tl::fewest_bytes(i64::from(crc), false), 2);
        self.integer(i64::from(crc), width, false);
        self.wire.push(0);
        Ok(())
    }

    fn opaque(&mut self, body: &Bound<'_, PyAny>, tag_width: usize) -> Result<(), Failure> {
        self.path.reset(Some("OpaqueBody"));
        let tag = self.plan.opaque_field(body, 0)?;
        let content = self.plan.opaque_field(body, 1)?;
        let Ok(tag) = tag.extract::<u32>() else {
            self.culprit = Some(tag.unbind());
            return expected("a tag of at most 4 bytes");
        };
        let bytes = content.cast::<PyBytes>().map(|content| content.as_bytes());
        match bytes.map(|bytes| (bytes, tl::skip(bytes, 0, MAX_DEPTH))) {
            Ok((bytes, Ok(end))) if end == bytes.len() => {
                self.tag(tag, tag_width);
                self.wire.extend_from_slice(bytes);
                Ok(())
            }
            _ => {
                self.culprit = Some(content.unbind());
                expected("the bytes of exactly one element")
            }
        }
    }

    fn tag(&mut self, tag: u32, width: usize) {
        let width = width.clamp(tl::fewest_bytes(i64::from(tag), false), 4);
        self.integer(i64::from(tag), width, false);
    }

    fn integer(&mut self, value: i64, width: usize, signed: bool) {
        self.wire.push(if signed { 0x50 } else { 0x60 } | (width as u8 + 1));
        self.note(if signed { FieldKind::Signed } else { FieldKind::Unsigned }, width);
        self.wire.extend_from_slice(&value.to_be_bytes()[8 - width..]);
    }

    /// A value of `width` bytes is written next.
    #[inline]
    fn note(&mut self, kind: FieldKind, width: usize) {
        if let Some(places) = &mut self.places {
            let field = Field { at: self.wire.len(), width, kind };
            places.push(Place { message: self.message, path: self.path.to_string(), field });
        }
    }

    fn value(&mut self, rule: &'plan Rule, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        match rule {
            Rule::List(class) => match self.plan.class_of(value) {
                Some(given) if given == *class => self.list(*class, value),
                _ => self.wrong(value, &self.plan.plan.classes[*class].name),
            },
            Rule::Many(item) => {
                let Ok(tuple) = value.cast::<PyTuple>() else { return self.wrong(value, "a tuple") };
                if tuple.len() > LONGEST_LIST {
                    return self.wrong(value, "at most 65535 elements");
                }
                tl::write_list_head(&mut self.wire, tuple.len());
                for (index, element) in tuple.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.value(item, &element)?;
                    self.path.pop();
                }
                Ok(())
            }
            Rule::Choice(choice) => self.choice(choice, value),
            Rule::Value { lists: true } if self.plan.class_of(value).is_some() => {
                self.choice(&self.plan.plan.list_type, value)
            }
            _ => self.primitive(rule, value),
        }
    }

    fn primitive(&mut self, rule: &Rule, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        match rule {
            Rule::Octets => match value.cast::<PyBytes>() {
                Ok(octets) => self.octets(octets),
                Err(_) => self.wrong(value, "bytes"),
            },
            Rule::Boolean => match value.cast::<PyBool>() {
                Ok(boolean) => {
                    self.wire.extend([0x42, u8::from(boolean.is_true())]);
                    Ok(())
                }
                Err(_) => self.wrong(value, "a bool"),
            },
            Rule::Integer { signed, width } => self.declared_integer(*signed, *width, value),
            Rule::Status => match self.plan.sized(value) {
                Some((false, width)) => self.sized_integer(false, width, value),
                _ => self.wrong(value, "a sized unsigned, as Unsigned32(…)"),
            },
            Rule::Value { .. } => {
                if let Some((signed, width)) = self.plan.sized(value) {
                    self.sized_integer(signed, width, value)
                } else if let Ok(octets) = value.cast::<PyBytes>() {
                    self.octets(octets)
                } else if value.is_instance_of::<PyBool>() {
                    self.primitive(&Rule::Boolean, value)
                } else {
                    self.wrong(value, "a bool, bytes, a sized integer as Unsigned32(…), or a list type")
                }
            }
            Rule::List(_) | Rule::Many(_) | Rule::Choice(_) => unreachable!("`value` handles what has parts"),
        }
    }

    fn octets(&mut self, octets: &Bound<'_, PyBytes>) -> Result<(), Failure> {
        let bytes = octets.as_bytes();
        if bytes.len() > LONGEST_OCTETS {
            return self.wrong(octets.as_any(), "at most 65531 bytes");
        }
        tl::write_octets_head(&mut self.wire, bytes.len());
        self.note(FieldKind::Octets, bytes.len());
        self.wire.extend_from_slice(bytes);
        Ok(())
    }

    fn declared_integer(&mut self, signed: bool, width: usize, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let limit = || format!("{} of at most {}", if signed { "integer" } else { "unsigned" }, tl::bytes(width));
        match self.plan.sized(value) {
            Some((given, own)) if given == signed && own <= width => self.sized_integer(signed, own, value),
            Some(_) => self.wrong(value, &limit()),
            None if !value.is_instance_of::<PyInt>() || value.is_instance_of::<PyBool>() => self.wrong(value, &limit()),
            None => {
                let Some(number) = fitting(value, signed, width) else { return self.wrong(value, &limit()) };
                let width = if self.minimal { tl::fewest_bytes(number, signed) } else { width };
                self.integer(number, width, signed);
                Ok(())
            }
        }
    }

    fn sized_integer(&mut self, signed: bool, width: usize, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        match fitting(value, signed, width) {
            Some(number) => {
                self.integer(number, width, signed);
                Ok(())
            }
            None => self.wrong(value, "a value within its own width"),
        }
    }

    fn list(&mut self, id: ClassId, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let class = &self.plan.plan.classes[id];
        if class.form == Form::Tree {
            self.trees += 1;
            if self.trees > MAX_TREE_DEPTH {
                return self.wrong(value, &format!("at most {MAX_TREE_DEPTH} nested trees"));
            }
        }
        tl::write_list_head(&mut self.wire, class.fields.len());
        for (index, field) in class.fields.iter().enumerate() {
            self.path.push(Step::Field(&field.name));
            let element = self.plan.field(id, value, index)?;
            if element.is_none() && field.presence != Presence::Mandatory {
                self.wire.push(0x01);
            } else {
                self.value(&field.rule, &element)?;
            }
            self.path.pop();
        }
        self.trees -= usize::from(class.form == Form::Tree);
        Ok(())
    }

    fn choice(&mut self, choice: &'plan Choice, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let given = self.plan.class_of(value);
        if choice.bare.is_some() && given == choice.bare {
            return self.alternative(given.expect("a class"), value);
        }
        let chosen = choice.alternatives.iter().find(|(_, class)| Some(*class) == given);
        let Some(&(tag, class)) = chosen else {
            let classes = &self.plan.plan.classes;
            let names: Vec<&str> = choice.alternatives.iter().map(|(_, id)| classes[*id].name.as_str()).collect();
            return self.wrong(value, &names.join(" or "));
        };
        self.wire.extend([0x72, 0x62, tag]);
        match self.plan.plan.classes[class].form {
            Form::Alternative => self.alternative(class, value),
            _ => self.list(class, value),
        }
    }

    fn alternative(&mut self, class: ClassId, value: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let inner = self.plan.field(class, value, 0)?;
        self.value(&self.plan.plan.classes[class].fields[0].rule, &inner)
    }

    #[cold]
    fn wrong(&mut self, value: &Bound<'_, PyAny>, what: &str) -> Result<(), Failure> {
        self.culprit = Some(value.clone().unbind());
        expected(what)
    }
}

/// The number as i64, or as the bits of a u64, when `width` bytes hold it.
fn fitting(value: &Bound<'_, PyAny>, signed: bool, width: usize) -> Option<i64> {
    let number = if signed { value.extract::<i64>().ok()? } else { value.extract::<u64>().ok()? as i64 };
    (tl::fewest_bytes(number, signed) <= width).then_some(number)
}
