//! `messwerk._core`: the hot loops of Messwerk. Bytes and columns in and out; never policy.

use pyo3::prelude::*;

mod crc;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crc16_x25, module)?)?;
    Ok(())
}

/// CRC-16/X-25 over `data`; `b"123456789"` gives 0x906E.
#[pyfunction]
fn crc16_x25(data: &[u8]) -> u16 {
    crc::x25(data)
}
