//! The table of a model's tensors against what reads and describes them: core's loader, and `docs/FORMAT.md`.

#[path = "../fixture/mod.rs"]
mod fixture;
mod format;
mod loader;
