//! Runs the example on a board under QEMU (or a debugger), over semihosting, or as an ordinary program.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use foldpoint_bare_metal::{Arena, Checksums, EMPTY, Error, run};
use foldpoint_core::Isa;
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(EMPTY);

/// Runs every backend that this machine has; all give the same.
fn run_all(print: impl Fn(&str, Checksums)) -> Result<(), Error> {
    let arena = ARENA.take();
    for isa in Isa::all() {
        print(isa.name(), run(arena, isa)?);
    }
    Ok(())
}

#[cfg(target_os = "none")]
mod board {
    use semihosting::process::ExitCode;
    use semihosting::{eprintln, println};

    #[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
    #[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
    fn start() -> ! {
        let code = match super::run_all(|isa, checksums| println!("{isa}: {checksums}")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
        code.exit_process()
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), Error> {
    run_all(|isa, checksums| println!("{isa}: {checksums}"))
}
