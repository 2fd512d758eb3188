//! What Python sees of the loops: functions over bytes, and the decoder that is fed a stream.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::array::Array;
use crate::frame::{Event, LARGEST_MAX_FRAME, MIN_FRAME, Reason, Scanner};
use crate::objects::{Objects, PyPlan};
use crate::template::{self, Field, FieldKind, Refused, Template, Values};
use crate::tl::Wrong;
use crate::{columns, crc, decode, encode, frame, tl};

/// CRC-16/X-25 over `data`; `b"123456789"` gives 0x906E.
#[pyfunction]
fn crc16_x25(data: &[u8]) -> u16 {
    crc::x25(data)
}

/// CRC-16/Kermit over `data`; `b"123456789"` gives 0x2189.
#[pyfunction]
fn crc16_kermit(data: &[u8]) -> u16 {
    crc::kermit(data)
}

/// Read an SML file: messages, deviations `(leniency, offset, end, path)` and what was dropped,
/// `(offset, path, expected, found)`, the last two as numbers where a checksum differs.
#[pyfunction]
#[pyo3(name = "decode")]
fn decode_file<'py>(plan: &Bound<'py, PyPlan>, payload: &[u8], strict: bool) -> PyResult<Bound<'py, PyTuple>> {
    let py = plan.py();
    let mut objects = Objects::new(py, plan.get());
    let report = decode::file(&plan.get().plan, payload, strict, &mut objects)?;
    let messages = PyTuple::new(py, objects.messages)?;
    let deviations: Vec<(&str, usize, usize, String)> = report
        .deviations
        .into_iter()
        .map(|deviation| (deviation.kind.name(), deviation.offset, deviation.end, deviation.path))
        .collect();
    let mut dropped = Vec::new();
    for decode::Dropped { fault, path } in report.dropped {
        dropped.push(match fault.wrong {
            Wrong::Checksum { expected, found } => (fault.offset, path, expected, found).into_pyobject(py)?,
            _ => (fault.offset, path, fault.wrong.to_string(), fault.found(payload)).into_pyobject(py)?,
        });
    }
    (messages, deviations, dropped).into_pyobject(py)
}

/// Write messages as an SML file.
#[pyfunction]
#[pyo3(name = "encode")]
fn encode_file<'py>(
    plan: &Bound<'py, PyPlan>,
    messages: &Bound<'py, PyAny>,
    minimal: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(plan.py(), &encode::file(plan.get(), messages, minimal)?))
}

/// Write messages and tell where their values stand: `(message, path, offset, width, kind)`, kind 0
/// for a signed integer, 1 for an unsigned one, 2 for octets.
#[pyfunction]
fn encode_with_places<'py>(plan: &Bound<'py, PyPlan>, messages: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let (file, places) = encode::file_with_places(plan.get(), messages)?;
    let places: Vec<_> = places
        .into_iter()
        .map(|encode::Place { message, path, field }| (message, path, field.at, field.width, field.kind as u8))
        .collect();
    (PyBytes::new(plan.py(), &file), places).into_pyobject(plan.py())
}

/// Telegrams of one form: see `messwerk.sml.template`.
#[pyclass(frozen, name = "Template")]
struct PyTemplate {
    template: Template,
    kinds: Vec<FieldKind>,
}

#[pymethods]
impl PyTemplate {
    /// `fields` are `(offset, width, kind)` as `encode_with_places` tells them.
    #[new]
    fn new(file: Vec<u8>, fields: Vec<(usize, usize, u8)>) -> PyResult<PyTemplate> {
        let mut known = Vec::new();
        for (at, width, kind) in fields {
            let (kind, widest) = match kind {
                0 => (FieldKind::Signed, 8),
                1 => (FieldKind::Unsigned, 8),
                _ => (FieldKind::Octets, file.len()),
            };
            if width > widest || width == 0 || at.checked_add(width).is_none_or(|end| end > file.len()) {
                return Err(PyValueError::new_err("a field outside the file"));
            }
            known.push(Field { at, width, kind });
        }
        let messages = template::spans(&file).ok_or_else(|| {
            PyValueError::new_err("a template is made of plain messages, without Kermit or short CRCs")
        })?;
        let kinds = known.iter().map(|field| field.kind).collect();
        let template = Template::new(&file, known, messages).ok_or_else(|| {
            PyValueError::new_err("the template holds 1b 1b, which could become an escape word: choose other values")
        })?;
        Ok(PyTemplate { template, kinds })
    }

    /// `rows` telegrams; `values` are buffers of int64, or of octets, in the order of the fields.
    /// Returns octets and ends; raises IndexError `(field, row)` where a value is too wide.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        rows: usize,
        values: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut given = Vec::new();
        for (kind, value) in self.kinds.iter().zip(&values) {
            given.push(match kind {
                FieldKind::Octets => Given::Octets(PyBuffer::<u8>::get(value)?.to_vec(py)?),
                _ => Given::Integers(PyBuffer::<i64>::get(value)?.to_vec(py)?),
            });
        }
        let encoded = py.detach(|| {
            let values: Vec<Values<'_>> = given
                .iter()
                .map(|given| match given {
                    Given::Integers(integers) => Values::Integers(integers),
                    Given::Octets(octets) => Values::Octets(octets),
                })
                .collect();
            self.template.encode(rows, &values)
        });
        match encoded {
            Ok(telegrams) => (Array::new(py, telegrams.octets)?, Array::new(py, telegrams.ends)?).into_pyobject(py),
            Err(Refused::Shape) => Err(PyValueError::new_err("every field needs one value for each telegram")),
            Err(Refused::TooWide { field, row }) => Err(PyIndexError::new_err((field, row))),
        }
    }
}

/// Values copied from Python, so that the loop can run without it.
enum Given {
    Integers(Vec<i64>),
    Octets(Vec<u8>),
}

/// Every element of `payload`: `(offset, depth, type, length, end)`.
#[pyfunction]
fn outline(payload: &[u8]) -> Vec<(usize, usize, &'static str, usize, usize)> {
    tl::outline(payload)
        .into_iter()
        .map(|element| (element.offset, element.depth, element.kind, element.length, element.end))
        .collect()
}

/// Wrap an SML file in a transport frame.
#[pyfunction]
#[pyo3(name = "frame")]
fn wrap_frame<'py>(py: Python<'py>, payload: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &frame::wrap(payload))
}

/// Columns of every telegram in `data`, with the GIL released: a dictionary of counters and
/// arrays (anything with a buffer), and a list of `(code, unit, value, scaler, valid)`.
#[pyfunction]
#[pyo3(name = "columns")]
fn read_columns<'py>(
    plan: &Bound<'py, PyPlan>,
    data: &[u8],
    max_frame: usize,
    strict: bool,
    forms: bool,
) -> PyResult<(Bound<'py, PyDict>, Vec<Bound<'py, PyTuple>>)> {
    let py = plan.py();
    check_max_frame(max_frame)?;
    let options = columns::Options { max_frame, strict, forms };
    let plan = &plan.get().plan;
    let columns = py.detach(|| columns::read(plan, data, &options)).map_err(PyValueError::new_err)?;
    let result = PyDict::new(py);
    for (name, count) in [
        ("telegrams", columns.telegrams),
        ("rejected", columns.rejected),
        ("bytes_skipped", columns.bytes_skipped),
        ("dropped", columns.dropped),
        ("deviations", columns.deviations),
        ("left_out", columns.left_out),
        ("matched", columns.matched),
    ] {
        result.set_item(name, count)?;
    }
    result.set_item("offset", Array::new(py, columns.offset)?)?;
    result.set_item("server_ends", Array::new(py, columns.server_ends)?)?;
    result.set_item("server_octets", Array::new(py, columns.server_octets)?)?;
    result.set_item("time", Array::new(py, columns.time)?)?;
    result.set_item("time_kind", Array::new(py, columns.time_kind)?)?;
    result.set_item("status", Array::new(py, columns.status)?)?;
    result.set_item("status_valid", Array::new(py, columns.status_valid)?)?;
    let mut named = Vec::new();
    for column in columns.columns {
        let code = PyBytes::new(py, &column.code);
        let (value, scaler, valid) =
            (Array::new(py, column.value)?, Array::new(py, column.scaler)?, Array::new(py, column.valid)?);
        named.push((code, column.unit, value, scaler, valid).into_pyobject(py)?);
    }
    Ok((result, named))
}

fn check_max_frame(max_frame: usize) -> PyResult<()> {
    if (MIN_FRAME..=LARGEST_MAX_FRAME).contains(&max_frame) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("max_frame is {MIN_FRAME} to {LARGEST_MAX_FRAME} bytes, not {max_frame}")))
}

/// The push decoder of the transport. Its events are plain tuples; `messwerk.sml.transport`
/// gives them names.
#[pyclass(name = "FrameDecoder")]
struct PyFrameDecoder {
    scanner: Scanner,
    strict: bool,
    buffer: Vec<u8>,
    /// Stream offset of the first byte in `buffer`.
    base: u64,
    accepted: u64,
    #[pyo3(get)]
    telegrams: u64,
    #[pyo3(get)]
    rejected: u64,
}

#[pymethods]
impl PyFrameDecoder {
    #[new]
    fn new(max_frame: usize, strict: bool) -> PyResult<PyFrameDecoder> {
        check_max_frame(max_frame)?;
        let scanner = Scanner::new(max_frame, strict);
        Ok(PyFrameDecoder { scanner, strict, buffer: Vec::new(), base: 0, accepted: 0, telegrams: 0, rejected: 0 })
    }

    #[getter]
    fn bytes_skipped(&self) -> u64 {
        self.base - self.accepted
    }

    /// Take the next bytes. A frame is `(payload, raw, offset, fill, kermit)`, a rejection
    /// `(offset, size, at, expected, found)`.
    fn receive<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        self.buffer.extend_from_slice(data);
        let events = self.events(py, false)?;
        let settled = self.scanner.position().min(self.buffer.len());
        self.buffer.drain(..settled);
        self.scanner.shift(settled);
        self.base += settled as u64;
        Ok(events)
    }

    /// End the stream. The decoder can be fed another one afterwards.
    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let events = self.events(py, true)?;
        self.base += self.buffer.len() as u64;
        self.buffer.clear();
        self.scanner.restart();
        Ok(events)
    }
}

impl PyFrameDecoder {
    fn events<'py>(&mut self, py: Python<'py>, last: bool) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let mut events = Vec::new();
        while let Some(event) = self.scanner.next(&self.buffer, last) {
            events.push(match event {
                Event::Frame(found) => {
                    let raw = &self.buffer[found.start..found.end];
                    let payload = frame::payload(raw, &found);
                    self.telegrams += 1;
                    self.accepted += raw.len() as u64;
                    let offset = self.base + found.start as u64;
                    let (payload, raw) = (PyBytes::new(py, &payload), PyBytes::new(py, raw));
                    (payload, raw, offset, found.fill, found.kermit).into_pyobject(py)?
                }
                Event::Rejected { start, end, reason } => {
                    self.rejected += 1;
                    let (offset, size) = (self.base + start as u64, end - start);
                    match reason {
                        Reason::Checksum { expected, found } => (offset, size, 0, expected, found).into_pyobject(py)?,
                        _ => {
                            let (at, expected, found) = self.words(size, reason);
                            (offset, size, at, expected, found).into_pyobject(py)?
                        }
                    }
                }
            });
        }
        Ok(events)
    }

    /// Where in the frame, what was expected there, and what was found.
    fn words(&self, size: usize, reason: Reason) -> (usize, String, String) {
        let hex = |word: [u8; 4]| u32::from_be_bytes(word);
        match reason {
            Reason::Restarted => (size, "the end word".into(), "the start of another frame".into()),
            Reason::Truncated => (size, "the end word".into(), "the end of the stream".into()),
            Reason::TooLong => (size, format!("the end word within {size} bytes"), "none".into()),
            Reason::Version2([2, ..]) if size == 5 => {
                (4, "transport version 1".into(), "the start word of version 2".into())
            }
            Reason::Version2(word) => {
                (size - 4, "transport version 1".into(), format!("the version 2 word {:08x}", hex(word)))
            }
            Reason::Escape(word) => {
                (size - 4, "a known escape word".into(), format!("the escape word {:08x}", hex(word)))
            }
            Reason::Fill(fill) => {
                let most = if self.strict { 3 } else { 4 };
                (size - 3, format!("at most {most} fill bytes, and no more than the file has"), fill.to_string())
            }
            Reason::Checksum { expected, found } => (0, format!("{expected:#06x}"), format!("{found:#06x}")),
        }
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LARGEST_MAX_FRAME", LARGEST_MAX_FRAME)?;
    module.add("MAX_DEPTH", tl::MAX_DEPTH)?;
    module.add("MAX_MESSAGES", decode::MAX_MESSAGES)?;
    module.add("MAX_TREE_DEPTH", tl::MAX_TREE_DEPTH)?;
    module.add_class::<PyPlan>()?;
    module.add_class::<PyFrameDecoder>()?;
    module.add_class::<Array>()?;
    module.add_class::<PyTemplate>()?;
    module.add_function(wrap_pyfunction!(crc16_x25, module)?)?;
    module.add_function(wrap_pyfunction!(crc16_kermit, module)?)?;
    module.add_function(wrap_pyfunction!(decode_file, module)?)?;
    module.add_function(wrap_pyfunction!(encode_file, module)?)?;
    module.add_function(wrap_pyfunction!(encode_with_places, module)?)?;
    module.add_function(wrap_pyfunction!(outline, module)?)?;
    module.add_function(wrap_pyfunction!(read_columns, module)?)?;
    module.add_function(wrap_pyfunction!(wrap_frame, module)?)?;
    Ok(())
}
