//! `messwerk._core`: the hot loops of Messwerk. Bytes and columns in and out; never policy.
//!
//! Everything that touches no Python object is plain Rust, tested by `cargo test` and fuzzed
//! without an interpreter; `objects`, `encode`, `array` and `bindings` are
//! its Python face.

pub mod checksums;
pub mod columns;
pub mod crc;
pub mod decode;
mod forms;
pub mod frame;

pub mod memory;
pub mod path;
pub mod plan;
mod rows;
pub mod template;
pub mod tl;

#[cfg(feature = "extension-module")]
mod array;
#[cfg(feature = "extension-module")]
mod bindings;
#[cfg(feature = "extension-module")]
mod encode;
#[cfg(feature = "extension-module")]
mod objects;

#[cfg(feature = "extension-module")]
#[pyo3::pymodule]
fn _core(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
    bindings::register(module)
}
