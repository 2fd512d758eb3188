//! Columns handed to Python without a copy: an owner of numbers that NumPy reads in place.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Numbers a column is made of: plain memory without padding or pointers.
pub trait Number: Copy + Send + Sync + 'static {}
impl Number for u8 {}
impl Number for i8 {}
impl Number for u32 {}
impl Number for i64 {}
impl Number for u64 {}

/// Read-only memory of one column; `numpy.frombuffer` gives it its type.
#[pyclass(frozen)]
pub struct Array {
    start: *const u8,
    bytes: usize,
    /// Keeps the numbers alive; nobody changes them.
    _owner: Box<dyn std::any::Any + Send + Sync>,
}

// SAFETY: `start` points into memory that `_owner` owns and that is never written again.
unsafe impl Send for Array {}
// SAFETY: as above; all access is reading.
unsafe impl Sync for Array {}

impl Array {
    pub fn new<T: Number>(py: Python<'_>, numbers: Vec<T>) -> PyResult<Py<Array>> {
        let (start, bytes) = (numbers.as_ptr().cast(), std::mem::size_of_val(&numbers[..]));
        Py::new(py, Array { start, bytes, _owner: Box::new(numbers) })
    }
}

#[pymethods]
impl Array {
    /// # Safety
    /// Called by the interpreter with a view to fill, as the buffer protocol prescribes.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let array = slf.get();
        // SAFETY: the memory lives as long as `slf`, to which the view takes a reference; it is
        // announced as read-only.
        let filled = unsafe {
            let start = array.start.cast::<c_void>().cast_mut();
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, array.bytes as ffi::Py_ssize_t, 1, flags)
        };
        if filled == 0 {
            return Ok(());
        }
        // SAFETY: a failed export must leave no object in the view.
        unsafe { (*view).obj = ptr::null_mut() };
        Err(PyErr::take(slf.py()).unwrap_or_else(|| PyBufferError::new_err("a column is read-only memory")))
    }
}
