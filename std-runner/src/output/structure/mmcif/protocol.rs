//! What made the structure, in ModelCIF's words.

use std::io::{self, Write};

use super::cif::{items, row, table};
use crate::output::structure::entity::Entities;
use crate::output::structure::model::Model;

/// The group of software that made everything in the file.
pub const SOFTWARE_GROUP: &str = "1";
/// The data that is the structure.
const COORDINATES: &str = "1";

/// The data that is an entity's sequence.
pub fn target_data(entity: usize) -> usize {
    entity + 1
}

/// Data, software and the one step from a sequence to a structure.
pub fn protocol(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    software(out, model)?;
    table(out, "ma_data", &["id", "name", "content_type"])?;
    row(out, &[COORDINATES, "Predicted structure", "model coordinates"])?;
    for entity in 1..=entities.first.len() {
        row(out, &[&target_data(entity).to_string(), &format!("Sequence of entity {entity}"), "target"])?;
    }
    table(out, "ma_data_group", &["ordinal_id", "group_id", "data_id"])?;
    for entity in 1..=entities.first.len() {
        writeln!(out, "{entity} 1 {}", target_data(entity))?;
    }
    writeln!(out, "{} 2 {COORDINATES}", entities.first.len() + 1)?;
    items(
        out,
        "ma_protocol_step",
        &[
            ("ordinal_id", "1"),
            ("protocol_id", "1"),
            ("step_id", "1"),
            ("method_type", "modeling"),
            ("step_name", "Structure prediction from the sequence alone"),
            (
                "details",
                "ESMFold in integer arithmetic; atoms are at ideal bond lengths and angles, not relaxed",
            ),
            ("software_group_id", SOFTWARE_GROUP),
            ("input_data_group_id", "1"),
            ("output_data_group_id", "2"),
        ],
    )?;
    items(
        out,
        "ma_model_list",
        &[
            ("ordinal_id", "1"),
            ("model_id", "1"),
            ("model_name", "Predicted structure"),
            ("data_id", COORDINATES),
            ("model_type", "Ab initio model"),
        ],
    )
}

fn software(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    items(
        out,
        "citation",
        &[
            ("id", "1"),
            (
                "title",
                "Evolutionary-scale prediction of atomic-level protein structure with a language model",
            ),
            ("journal_abbrev", "Science"),
            ("journal_volume", "379"),
            ("page_first", "1123"),
            ("page_last", "1130"),
            ("year", "2023"),
            ("pdbx_database_id_DOI", "10.1126/science.ade2574"),
        ],
    )?;
    items(
        out,
        "software",
        &[
            ("pdbx_ordinal", "1"),
            ("name", "Foldpoint"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("classification", "model building"),
            ("description", "ESMFold in integer arithmetic"),
            ("type", "program"),
            ("location", env!("CARGO_PKG_REPOSITORY")),
            ("citation_id", "1"),
        ],
    )?;
    let made = &model.provenance;
    let parameters = [
        ("passes", "integer", "Passes through the trunk, recycles + 1", made.passes.to_string()),
        ("model", "string", "Name of the model file", made.model.clone()),
        ("checkpoint", "string", "Checkpoint that the model file was made of", made.checkpoint.clone()),
        ("quantizer", "string", "Program that made the model file", made.quantizer.clone()),
    ];
    let columns = ["parameter_id", "group_id", "data_type", "name", "value", "description"];
    table(out, "ma_software_parameter", &columns)?;
    for (id, (name, kind, description, value)) in (1..).zip(&parameters) {
        row(out, &[&format!("{id}"), "1", kind, name, &super::ascii(value), description])?;
    }
    items(
        out,
        "ma_software_group",
        &[
            ("ordinal_id", "1"),
            ("group_id", SOFTWARE_GROUP),
            ("software_id", "1"),
            ("parameter_group_id", "1"),
        ],
    )
}
