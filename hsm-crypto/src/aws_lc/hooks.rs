//! AWS-LC's four weak allocation hooks, defined here as hidden symbols.
//!
//! AWS-LC declares them weak and without its prefix. Undefined at link time, they would bind to whatever the host process
//! exports under these names (a host built on BoringSSL or AWS-LC may), and our keys would live in the host's allocator.
//! Rust can't make a hidden symbol, and a `no_mangle` function would be exported from a cdylib; hence the assembler. `ANCHOR`
//! keeps the object file in the link: a weak reference alone does not pull it out of an archive.

use aws_lc_sys as ffi;
use std::os::raw::c_void;
use std::ptr;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(ptr: *mut c_void);
}

/// The size stands before the block, in as many bytes as keep the block aligned for everything.
const HEAD: usize = 16;

unsafe extern "C" fn alloc(size: usize) -> *mut c_void {
    let Some(total) = size.checked_add(HEAD) else {
        return ptr::null_mut();
    };
    // SAFETY: malloc takes any size.
    let raw = unsafe { malloc(total) };
    if raw.is_null() {
        return raw;
    }
    // SAFETY: the block is HEAD bytes longer than asked and aligned for usize.
    unsafe {
        raw.cast::<usize>().write(size);
        raw.add(HEAD)
    }
}

unsafe extern "C" fn release(block: *mut c_void) {
    // SAFETY: AWS-LC passes only what `alloc` returned, never null; HEAD bytes before it are ours and hold its size.
    unsafe {
        let raw = block.sub(HEAD);
        let size = raw.cast::<usize>().read();
        ffi::OPENSSL_cleanse(raw, size + HEAD);
        free(raw);
    }
}

unsafe extern "C" fn size_of_block(block: *mut c_void) -> usize {
    // SAFETY: as in `release`.
    unsafe { block.sub(HEAD).cast::<usize>().read() }
}

unsafe extern "C" fn resize(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as in `release`; the shorter of both lengths is copied. realloc would leave the old bytes unwiped.
    unsafe {
        if block.is_null() {
            return alloc(size);
        }
        let new = alloc(size);
        if !new.is_null() {
            let old = size_of_block(block);
            ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast::<u8>(), old.min(size));
            release(block);
        }
        new
    }
}

/// Referenced by the loader's view of the library, so that this object file is always linked.
#[used]
static ANCHOR: unsafe extern "C" fn(usize) -> *mut c_void = alloc;

macro_rules! hidden {
    ($($name:literal => $function:ident),* $(,)?) => {$(
        std::arch::global_asm!(
            ".pushsection .text",
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ", %function"),
            concat!($name, ":"),
            #[cfg(target_arch = "x86_64")]
            "jmp {f}",
            #[cfg(target_arch = "aarch64")]
            "b {f}",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            f = sym $function,
        );
    )*};
}

hidden! {
    "OPENSSL_memory_alloc" => alloc,
    "OPENSSL_memory_free" => release,
    "OPENSSL_memory_get_size" => size_of_block,
    "OPENSSL_memory_realloc" => resize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_allocates_through_the_hooks() {
        // SAFETY: a block of 100 bytes, used only through the library and freed at the end. Its own allocator would keep the
        // size eight bytes before the block, ours keeps it sixteen before.
        unsafe {
            let block = ffi::OPENSSL_malloc(100);
            assert_eq!(size_of_block(block), 100);
            block.cast::<u8>().write_bytes(0x5a, 100);
            let block = ffi::OPENSSL_realloc(block, 5000);
            assert_eq!(size_of_block(block), 5000);
            assert_eq!(
                std::slice::from_raw_parts(block.cast::<u8>(), 100),
                [0x5a; 100]
            );
            ffi::OPENSSL_free(block);
        }
    }
}
