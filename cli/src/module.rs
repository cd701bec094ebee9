//! Where the PKCS#11 module is.

use std::path::PathBuf;

const NAME: &str = if cfg!(target_os = "macos") {
    "libkeystead_pkcs11.dylib"
} else {
    "libkeystead_pkcs11.so"
};

/// The module beside this program, where the build leaves it, else where a package installs it.
pub fn beside_us() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let mut places: Vec<PathBuf> = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(NAME))
        .collect();
    places.extend(
        ["/usr/local/lib", "/usr/lib/pkcs11", "/usr/lib"].map(|dir| PathBuf::from(dir).join(NAME)),
    );
    places
        .iter()
        .find(|place| place.is_file())
        .cloned()
        .ok_or_else(|| {
            format!(
                "{NAME} is not beside {}; build it with `cargo build --release`",
                program.display()
            )
        })
}
