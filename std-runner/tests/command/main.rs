//! The `foldpoint` command from outside, with the embedded model.
#![cfg(feature = "embedded-model")]

mod bad_input;
mod bad_model;
mod commands;
mod common;
mod evaluate;
mod evaluate_structures;
mod fold;
