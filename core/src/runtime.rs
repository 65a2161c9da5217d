//! On what a model runs.

use crate::executor::{Executor, Serial};
use crate::kernels::Isa;
use crate::nn::Context;
use core::fmt;

/// The instruction set and the workers of a run. No bit of a result depends on either; the size of the arena
/// depends on the number of workers.
#[derive(Clone, Copy)]
pub struct Runtime<'r> {
    isa: Isa,
    executor: &'r dyn Executor,
}

impl Runtime<'static> {
    /// The best instruction set that core knows of here ([`Isa::best`]), on the calling thread alone.
    pub fn serial() -> Self {
        Self { isa: Isa::best(), executor: &Serial }
    }
}

impl Default for Runtime<'static> {
    fn default() -> Self {
        Self::serial()
    }
}

impl<'r> Runtime<'r> {
    /// `isa` on the workers of `executor`.
    pub fn new(isa: Isa, executor: &'r dyn Executor) -> Self {
        Self { isa, executor }
    }

    /// The instruction set.
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// How many chunks run at the same time, at least 1.
    pub fn workers(&self) -> usize {
        self.executor.workers().max(1)
    }

    pub(crate) fn context(&self) -> Context<'r> {
        Context { backend: self.isa.backend(), executor: self.executor }
    }
}

impl fmt::Debug for Runtime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("isa", &self.isa).field("workers", &self.workers()).finish()
    }
}
