//! Runs the example on a board under QEMU (or a debugger), over semihosting, or as an ordinary program.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

use foldpoint_bare_metal::{Arena, Checksums, EMPTY, Error, run};
use foldpoint_core::Isa;
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(EMPTY);

/// Bytes of stack that the program takes at most, rounded up; `scripts/check-stack` holds it.
#[cfg(target_os = "none")]
const STACK_NEEDED: usize = 11264;

/// Bytes of stack that `build.rs` gave it.
#[cfg(target_os = "none")]
const STACK_BYTES: usize = match usize::from_str_radix(env!("STACK_BYTES"), 10) {
    Ok(bytes) => bytes,
    Err(_) => 0,
};

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
    use super::{ARENA, STACK_BYTES, STACK_NEEDED};
    use foldpoint_bare_metal::{Error, Part};
    use foldpoint_core::Isa;
    use semihosting::experimental::env;
    use semihosting::process::ExitCode;
    use semihosting::{eprintln, println};

    #[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
    #[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
    fn start() -> ! {
        // Whatever can't be read is no part.
        let args = env::args::<64>();
        let part = args.as_ref().ok().and_then(|mut args| args.nth(1)?.ok()).map(Part::by_name);
        let done = enough_stack().and_then(|()| match part {
            None => super::run_all(|isa, checksums| println!("{isa}: {checksums}")),
            Some(part) => one(part),
        });
        let code = match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
        code.exit_process()
    }

    /// What overruns the stack is lost, and the program with it: it is known before.
    fn enough_stack() -> Result<(), Error> {
        if STACK_BYTES < STACK_NEEDED {
            return Err(Error::SmallStack { needed: STACK_NEEDED, given: STACK_BYTES });
        }
        Ok(())
    }

    /// One part alone, for `scripts/check-stack`.
    #[inline(never)]
    fn one(part: Option<Part>) -> Result<(), Error> {
        let part = part.ok_or(Error::NoPart)?;
        part.run(ARENA.take(), Isa::best())?;
        println!("{part:?}: done");
        Ok(())
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), Error> {
    run_all(|isa, checksums| println!("{isa}: {checksums}"))
}
