//! Python objects of the declared types, made and read without running Python code.
//!
//! A frozen dataclass pays for its `__init__` six times what its memory costs. Here an instance
//! comes from the type's own allocator and its slots are filled through their member descriptors,
//! both reached by the stable ABI.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr::{self, NonNull};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyTuple, PyType};

use crate::decode::{Builder, Envelope, WireInteger};
use crate::plan::{ClassId, Plan};

/// A slotted class and the descriptors of its fields, in wire order.
struct Slots {
    class: Py<PyType>,
    alloc: ffi::allocfunc,
    members: Vec<Py<PyAny>>,
}

/// The declared types, their plan, and the classes around them.
#[pyclass(frozen, name = "Plan")]
pub struct PyPlan {
    pub plan: Plan,
    classes: Vec<Slots>,
    by_type: HashMap<usize, ClassId>,
    message: Slots,
    opaque: Slots,
    forms: Vec<Py<PyAny>>,
    integers: Vec<Py<PyType>>,
    unsigneds: Vec<Py<PyType>>,
    set_member: ffi::descrsetfunc,
    get_member: ffi::descrgetfunc,
    new_int: ffi::newfunc,
    pub encode_error: Py<PyAny>,
}

#[pymethods]
impl PyPlan {
    /// `classes` in the order of `text`; `forms[4 * (tag_width - 1) + 2 * (crc_width - 1) + kermit]`.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "the classes Python hands over once")]
    fn new(
        py: Python<'_>,
        text: &str,
        classes: Vec<Bound<'_, PyType>>,
        message: Bound<'_, PyType>,
        opaque: Bound<'_, PyType>,
        forms: Vec<Py<PyAny>>,
        integers: Vec<Py<PyType>>,
        unsigneds: Vec<Py<PyType>>,
        encode_error: Py<PyAny>,
    ) -> PyResult<PyPlan> {
        let plan = Plan::parse(text).map_err(PyValueError::new_err)?;
        if classes.len() != plan.classes.len() || forms.len() != 16 || integers.len() != 8 || unsigneds.len() != 8 {
            return Err(PyValueError::new_err("classes, forms or integer types do not fit the plan"));
        }
        let descriptor = py.import("types")?.getattr("MemberDescriptorType")?.cast_into::<PyType>()?;
        let mut slots = Vec::new();
        let mut by_type = HashMap::new();
        for (id, (class, declared)) in classes.iter().zip(&plan.classes).enumerate() {
            by_type.insert(class.as_ptr() as usize, id);
            slots.push(Slots::of(class, declared.fields.iter().map(|field| field.name.as_str()), &descriptor)?);
        }
        let message_fields = ["transaction_id", "group_no", "abort_on_error", "body", "form"];
        Ok(PyPlan {
            plan,
            classes: slots,
            by_type,
            message: Slots::of(&message, message_fields.into_iter(), &descriptor)?,
            opaque: Slots::of(&opaque, ["tag", "content"].into_iter(), &descriptor)?,
            forms,
            integers,
            unsigneds,
            // SAFETY: these slots of the member descriptor type and of int have these signatures.
            set_member: unsafe {
                mem::transmute::<NonNull<c_void>, ffi::descrsetfunc>(slot(&descriptor, ffi::Py_tp_descr_set)?)
            },
            get_member: unsafe {
                mem::transmute::<NonNull<c_void>, ffi::descrgetfunc>(slot(&descriptor, ffi::Py_tp_descr_get)?)
            },
            new_int: unsafe {
                mem::transmute::<NonNull<c_void>, ffi::newfunc>(slot(&py.get_type::<PyInt>(), ffi::Py_tp_new)?)
            },
            encode_error,
        })
    }
}

/// A function in a type's table.
fn slot(class: &Bound<'_, PyType>, which: c_int) -> PyResult<NonNull<c_void>> {
    // SAFETY: a live type and a slot number of the stable ABI.
    NonNull::new(unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), which) })
        .ok_or_else(|| PyTypeError::new_err(format!("{class} has no slot {which}")))
}

impl Slots {
    fn of<'a>(
        class: &Bound<'_, PyType>,
        fields: impl Iterator<Item = &'a str>,
        descriptor: &Bound<'_, PyType>,
    ) -> PyResult<Slots> {
        let members = fields
            .map(|name| {
                let member = class.getattr(name)?;
                let owner = member.getattr("__objclass__")?;
                if !member.is_exact_instance(descriptor) || !owner.is(class) {
                    return Err(PyTypeError::new_err(format!("{class}.{name} is not a slot of its own")));
                }
                Ok(member.unbind())
            })
            .collect::<PyResult<Vec<_>>>()?;
        // SAFETY: every type has an allocator, and this is its signature.
        let alloc = unsafe { mem::transmute::<NonNull<c_void>, ffi::allocfunc>(slot(class, ffi::Py_tp_alloc)?) };
        Ok(Slots { class: class.clone().unbind(), alloc, members })
    }
}

impl PyPlan {
    pub fn class_of(&self, value: &Bound<'_, PyAny>) -> Option<ClassId> {
        self.by_type.get(&(value.get_type_ptr() as usize)).copied()
    }

    pub fn is_message(&self, value: &Bound<'_, PyAny>) -> bool {
        value.get_type().is(&self.message.class)
    }

    pub fn is_opaque(&self, value: &Bound<'_, PyAny>) -> bool {
        value.get_type().is(&self.opaque.class)
    }

    /// Signedness and width of a sized integer.
    pub fn sized(&self, value: &Bound<'_, PyAny>) -> Option<(bool, usize)> {
        let class = value.get_type_ptr() as usize;
        let width = |classes: &[Py<PyType>]| classes.iter().position(|known| known.as_ptr() as usize == class);
        width(&self.integers).map(|at| (true, at + 1)).or_else(|| width(&self.unsigneds).map(|at| (false, at + 1)))
    }

    pub fn message_field<'py>(&self, message: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.get(message, &self.message.members[index])
    }

    pub fn opaque_field<'py>(&self, body: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.get(body, &self.opaque.members[index])
    }

    pub fn field<'py>(&self, id: ClassId, value: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        self.get(value, &self.classes[id].members[index])
    }

    fn get<'py>(&self, object: &Bound<'py, PyAny>, member: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: `get_member` belongs to the type of `member`; it checks that `object` fits and
        // returns a new reference or sets an exception.
        unsafe {
            let value = (self.get_member)(member.as_ptr(), object.as_ptr(), object.get_type_ptr().cast());
            Bound::from_owned_ptr_or_err(object.py(), value)
        }
    }

    /// An instance with empty slots; every one must be set before Python sees it.
    fn instance<'py>(&self, py: Python<'py>, slots: &Slots) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: the allocator of exactly this type; it returns zeroed memory, which a slotted
        // object reads as empty slots, also when it is freed half-filled.
        unsafe { Bound::from_owned_ptr_or_err(py, (slots.alloc)(slots.class.as_ptr().cast(), 0)) }
    }

    #[inline]
    fn set(&self, object: &Bound<'_, PyAny>, member: &Py<PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: `set_member` belongs to the type of `member`; it checks that `object` fits and
        // takes its own reference to `value`. -1 comes with an exception.
        match unsafe { (self.set_member)(member.as_ptr(), object.as_ptr(), value.as_ptr()) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(object.py())),
        }
    }

    fn int<'py>(&self, py: Python<'py>, integer: WireInteger) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: both return a new reference or set an exception.
        let plain = unsafe {
            let made = if integer.signed {
                ffi::PyLong_FromLongLong(integer.value)
            } else {
                ffi::PyLong_FromUnsignedLongLong(integer.value as u64)
            };
            Bound::from_owned_ptr_or_err(py, made)?
        };
        if integer.plain {
            return Ok(plain);
        }
        let classes = if integer.signed { &self.integers } else { &self.unsigneds };
        let class = &classes[integer.width - 1];
        let arguments = PyTuple::new(py, [plain])?;
        // SAFETY: int's own constructor for a subclass of int; it skips the range check of
        // `Unsigned.__new__`, which a value read from `width` bytes cannot fail.
        unsafe {
            let made = (self.new_int)(class.as_ptr().cast(), arguments.as_ptr(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, made)
        }
    }
}

/// Makes messages: the builder behind `messwerk.sml.decode`.
pub struct Objects<'py, 'plan> {
    py: Python<'py>,
    plan: &'plan PyPlan,
    pub messages: Vec<Bound<'py, PyAny>>,
}

pub enum PyList<'py> {
    Declared(ClassId, Bound<'py, PyAny>),
    Many(Bound<'py, PyAny>),
}

impl<'py, 'plan> Objects<'py, 'plan> {
    pub fn new(py: Python<'py>, plan: &'plan PyPlan) -> Self {
        Objects { py, plan, messages: Vec::new() }
    }

    fn finish(&mut self, envelope: Envelope, id: &[u8], body: Bound<'py, PyAny>) -> PyResult<()> {
        let Envelope { group_no, abort_on_error, tag_width, crc_width, kermit, .. } = envelope;
        let form = 4 * (tag_width - 1) + 2 * (crc_width - 1) + usize::from(kermit);
        let slots = &self.plan.message;
        let message = self.plan.instance(self.py, slots)?;
        let fields = [
            PyBytes::new(self.py, id).into_any(),
            group_no.into_pyobject(self.py)?.into_any(),
            abort_on_error.into_pyobject(self.py)?.into_any(),
            body,
            self.plan.forms[form].bind(self.py).clone(),
        ];
        for (member, value) in slots.members.iter().zip(fields) {
            self.plan.set(&message, member, value)?;
        }
        self.messages.push(message);
        Ok(())
    }
}

impl<'data, 'py> Builder<'data> for Objects<'py, '_> {
    type Value = Bound<'py, PyAny>;
    type List = PyList<'py>;
    type Error = PyErr;

    #[inline]
    fn absent(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    #[inline]
    fn octets(&mut self, octets: &'data [u8]) -> PyResult<Self::Value> {
        Ok(PyBytes::new(self.py, octets).into_any())
    }

    #[inline]
    fn boolean(&mut self, value: bool) -> Self::Value {
        PyBool::new(self.py, value).to_owned().into_any()
    }

    #[inline]
    fn integer(&mut self, integer: WireInteger) -> PyResult<Self::Value> {
        self.plan.int(self.py, integer)
    }

    #[inline]
    fn open_list(&mut self, class: ClassId) -> PyResult<Self::List> {
        Ok(PyList::Declared(class, self.plan.instance(self.py, &self.plan.classes[class])?))
    }

    #[inline]
    fn set(&mut self, list: &mut Self::List, field: usize, value: Self::Value) -> PyResult<()> {
        match list {
            PyList::Declared(class, object) => self.plan.set(object, &self.plan.classes[*class].members[field], value),
            // SAFETY: a tuple nobody else has seen, and an index within the length it was made
            // with; the tuple takes over the reference.
            PyList::Many(tuple) => {
                match unsafe { ffi::PyTuple_SetItem(tuple.as_ptr(), field as ffi::Py_ssize_t, value.into_ptr()) } {
                    0 => Ok(()),
                    _ => Err(PyErr::fetch(self.py)),
                }
            }
        }
    }

    #[inline]
    fn close_list(&mut self, list: Self::List) -> PyResult<Self::Value> {
        match list {
            PyList::Declared(_, object) | PyList::Many(object) => Ok(object),
        }
    }

    #[inline]
    fn open_many(&mut self, length: usize) -> PyResult<Self::List> {
        // SAFETY: returns a new tuple of empty places or sets an exception. The walk before has
        // shown that so many elements are really there.
        let tuple = unsafe { Bound::from_owned_ptr_or_err(self.py, ffi::PyTuple_New(length as ffi::Py_ssize_t))? };
        Ok(PyList::Many(tuple))
    }

    #[inline]
    fn close_many(&mut self, list: Self::List) -> PyResult<Self::Value> {
        self.close_list(list)
    }

    fn message(&mut self, envelope: Envelope, id: &'data [u8], body: Self::Value) -> PyResult<()> {
        self.finish(envelope, id, body)
    }

    fn opaque(&mut self, envelope: Envelope, id: &'data [u8], content: &'data [u8]) -> PyResult<()> {
        let slots = &self.plan.opaque;
        let body = self.plan.instance(self.py, slots)?;
        self.plan.set(&body, &slots.members[0], envelope.tag.into_pyobject(self.py)?.into_any())?;
        self.plan.set(&body, &slots.members[1], PyBytes::new(self.py, content).into_any())?;
        self.finish(envelope, id, body)
    }
}
