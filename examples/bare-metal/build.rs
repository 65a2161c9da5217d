//! Gives the linker the memory map of the board, QEMU's `virt` for RISC-V, its `mps2-an386` for Cortex-M4,
//! and the program the size of its stack: `STACK_BYTES`, if that is set.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

/// Bytes of stack: more than `docs/MEMORY.md` says that the program takes.
const STACK_BYTES: u32 = 16384;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=memory");
    println!("cargo:rerun-if-env-changed=STACK_BYTES");
    let stack_bytes = env::var("STACK_BYTES").map_or(Ok(STACK_BYTES), |bytes| bytes.parse())?;
    println!("cargo:rustc-env=STACK_BYTES={stack_bytes}");
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let architecture = env::var("CARGO_CFG_TARGET_ARCH")?;
        let folder = PathBuf::from(env::var("OUT_DIR")?);
        let map = fs::read_to_string(format!("memory/{architecture}.x"))?;
        fs::write(folder.join("memory.x"), format!("stack_bytes = {stack_bytes};\n{map}"))?;
        println!("cargo:rustc-link-search={}", folder.display());
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
    }
    Ok(())
}
