//! The `foldpoint` command from outside, with the embedded model.
#![cfg(feature = "embedded-model")]

mod bad_input;
mod bad_model;
mod chains;
mod commands;
mod common;
mod embed;
mod evaluate;
mod evaluate_structures;
mod fold;
mod fold_scores;
mod masks;
mod model_file;
mod models;
mod omegafold;
mod plan;
mod results;
mod score;
mod sequences;
