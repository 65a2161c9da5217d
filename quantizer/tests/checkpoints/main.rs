//! Checkpoints as trainers, hubs and strangers hand them in.

mod adapters;
mod documented;
mod files;
#[path = "../fixture/mod.rs"]
mod fixture;
mod formats;
#[cfg(unix)]
mod hub;
mod pickles;
mod provenance;
mod remarks;
mod wrapped;
