//! Gives the linker the memory map of the board: QEMU's `virt` for RISC-V, its `mps2-an386` for Cortex-M4.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=memory");
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
        let folder = PathBuf::from(env::var("OUT_DIR")?);
        fs::copy(format!("memory/{architecture}.x"), folder.join("memory.x"))?;
        println!("cargo:rustc-link-search={}", folder.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
