//! What made the structure, in ModelCIF's words.

use std::io::{self, Write};

use super::cif::{items, row, table};
use crate::output::structure::entity::Entities;
use crate::output::structure::model::{Method, Model};

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
    let details = format!(
        "{}; atoms are at ideal bond lengths and angles, not relaxed",
        described(model.provenance.method)
    );
    items(
        out,
        "ma_protocol_step",
        &[
            ("ordinal_id", "1"),
            ("protocol_id", "1"),
            ("step_id", "1"),
            ("method_type", "modeling"),
            ("step_name", "Structure prediction from the sequence alone"),
            ("details", &details),
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

/// What the program is.
fn described(method: Method) -> &'static str {
    match method {
        Method::EsmFold { .. } => "ESMFold in integer arithmetic",
        Method::OmegaFold { .. } => "OmegaFold in integer arithmetic",
    }
}

/// The article about the model.
fn citation(method: Method) -> &'static [(&'static str, &'static str)] {
    match method {
        Method::EsmFold { .. } => &[
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
        Method::OmegaFold { .. } => &[
            ("id", "1"),
            ("title", "High-resolution de novo structure prediction from primary sequence"),
            ("journal_abbrev", "bioRxiv"),
            ("year", "2022"),
            ("pdbx_database_id_DOI", "10.1101/2022.07.21.500999"),
        ],
    }
}

fn software(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let made = &model.provenance;
    items(out, "citation", citation(made.method))?;
    items(
        out,
        "software",
        &[
            ("pdbx_ordinal", "1"),
            ("name", "Foldpoint"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("classification", "model building"),
            ("description", described(made.method)),
            ("type", "program"),
            ("location", env!("CARGO_PKG_REPOSITORY")),
            ("citation_id", "1"),
        ],
    )?;
    let number = |name, description, value: usize| (name, "integer", description, value.to_string());
    let text = |name, description, value: &String| (name, "string", description, value.clone());
    let mut parameters = match made.method {
        Method::EsmFold { passes } => {
            vec![number("passes", "Passes through the trunk, recycles + 1", passes)]
        }
        Method::OmegaFold { cycles, rows } => vec![
            number("cycles", "Passes through the whole model, of which the best is the result", cycles),
            number("rows", "Rows of the pseudo-MSA below the sequence", rows),
        ],
    };
    parameters.extend([
        text("model", "Name of the model file", &made.model),
        text("checkpoint", "Checkpoint that the model file was made of", &made.checkpoint),
        text("quantizer", "Program that made the model file", &made.quantizer),
    ]);
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
