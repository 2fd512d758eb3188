//! Room for large results. Telegrams come by the million, and touching fresh memory page by page
//! would cost more than decoding into it.

/// Below this, huge pages waste more than they save.
const WORTH_ADVICE: usize = 4 << 20;

/// Make room for `total` elements, in huge pages where the system has them.
pub fn reserve<T>(vector: &mut Vec<T>, total: usize) {
    if total > vector.capacity() {
        vector.reserve(total - vector.len());
        let bytes = vector.capacity() * size_of::<T>();
        if bytes >= WORTH_ADVICE {
            advise(vector.as_ptr().cast(), bytes);
        }
    }
}

/// Fill up with zeros to `total` elements.
pub fn extend_with_zeros<T: Clone + Default>(vector: &mut Vec<T>, total: usize) {
    reserve(vector, total);
    vector.resize(total, T::default());
}

#[cfg(target_os = "linux")]
fn advise(start: *const u8, bytes: usize) {
    const PAGE: usize = 4096;
    let first = (start as usize).next_multiple_of(PAGE);
    let end = (start as usize + bytes) / PAGE * PAGE;
    if first < end {
        // SAFETY: whole pages inside one allocation of ours; the advice changes no content, and
        // where it is not taken nothing happens.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *const u8, _: usize) {}
