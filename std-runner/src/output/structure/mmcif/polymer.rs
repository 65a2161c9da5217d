//! What the chains are, and their sequences.

use std::io::{self, Write};

use super::cif::{NONE, UNKNOWN, row, table};
use super::protocol::target_data;
use crate::output::structure::entity::Entities;
use crate::output::structure::model::{Model, chain_name};

/// Entities, chains and residues.
pub fn polymers(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    table(out, "entity", &["id", "type", "src_method", "pdbx_description", "pdbx_number_of_molecules"])?;
    for entity in 1..=entities.first.len() {
        let (description, count) = (entities.description(model, entity), entities.strands(entity).len());
        row(out, &[&entity.to_string(), "polymer", "man", &description, &count.to_string()])?;
    }
    sequences(out, model, entities)?;
    chains(out, model, entities)?;
    without_atoms(out, model)
}

fn sequences(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    let columns = [
        "entity_id",
        "type",
        "nstd_linkage",
        "nstd_monomer",
        "pdbx_strand_id",
        "pdbx_seq_one_letter_code",
        "pdbx_seq_one_letter_code_can",
    ];
    table(out, "entity_poly", &columns)?;
    for (entity, &first) in (1..).zip(&entities.first) {
        let letters = model.chains[first].residues.iter().map(|residue| residue.kind.letter());
        let canonical = lines(letters.clone().map(String::from));
        // What is no amino acid of the twenty has its name in brackets.
        let code = lines(letters.map(|letter| if letter == 'X' { "(UNK)".into() } else { letter.into() }));
        let strands = entities.strands(entity).join(",");
        row(out, &[&entity.to_string(), "polypeptide(L)", "no", "no", &strands, &code, &canonical])?;
    }
    table(out, "entity_poly_seq", &["entity_id", "num", "mon_id", "hetero"])?;
    for (entity, &first) in (1..).zip(&entities.first) {
        for (number, residue) in (1..).zip(&model.chains[first].residues) {
            writeln!(out, "{entity} {number} {} n", residue.kind.name())?;
        }
    }
    Ok(())
}

fn chains(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    table(
        out,
        "struct_asym",
        &["id", "entity_id", "pdbx_blank_PDB_chainid_flag", "pdbx_modified", "details"],
    )?;
    for (chain, entity) in entities.of_chain.iter().enumerate() {
        row(out, &[&chain_name(chain), &entity.to_string(), "N", "N", UNKNOWN])?;
    }
    let columns = [
        "asym_id",
        "entity_id",
        "seq_id",
        "mon_id",
        "ndb_seq_num",
        "pdb_seq_num",
        "auth_seq_num",
        "pdb_mon_id",
        "auth_mon_id",
        "pdb_strand_id",
        "pdb_ins_code",
        "hetero",
    ];
    table(out, "pdbx_poly_seq_scheme", &columns)?;
    for placed in model.residues() {
        let (chain, entity) = (chain_name(placed.chain), entities.of_chain[placed.chain]);
        let (number, name) = (placed.number, placed.residue.kind.name());
        let present = !placed.residue.atoms.is_empty();
        let (auth_number, auth_name) =
            if present { (number.to_string(), name) } else { (UNKNOWN.into(), UNKNOWN) };
        writeln!(
            out,
            "{chain} {entity} {number} {name} {number} {number} {auth_number} {auth_name} {auth_name} {chain} {NONE} n"
        )?;
    }
    Ok(())
}

/// The residues that have no atoms.
fn without_atoms(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let columns = [
        "id",
        "PDB_model_num",
        "polymer_flag",
        "occupancy_flag",
        "auth_asym_id",
        "auth_comp_id",
        "auth_seq_id",
        "PDB_ins_code",
        "label_asym_id",
        "label_comp_id",
        "label_seq_id",
    ];
    let missing = model.residues().filter(|placed| placed.residue.atoms.is_empty());
    for (id, placed) in (1..).zip(missing) {
        let (chain, name, number) = (chain_name(placed.chain), placed.residue.kind.name(), placed.number);
        let values = [
            &format!("{id}"),
            "1",
            "Y",
            "1",
            &chain,
            name,
            &format!("{number}"),
            UNKNOWN,
            &chain,
            name,
            &format!("{number}"),
        ];
        if id == 1 {
            table(out, "pdbx_unobs_or_zero_occ_residues", &columns)?;
        }
        row(out, &values)?;
    }
    Ok(())
}

/// Which chains the prediction was for.
pub fn targets(out: &mut dyn Write, entities: &Entities) -> io::Result<()> {
    table(out, "ma_target_entity", &["entity_id", "data_id", "origin"])?;
    for entity in 1..=entities.first.len() {
        writeln!(out, "{entity} {} designed", target_data(entity))?;
    }
    table(out, "ma_target_entity_instance", &["asym_id", "entity_id", "details"])?;
    for (chain, entity) in entities.of_chain.iter().enumerate() {
        writeln!(out, "{} {entity} {UNKNOWN}", chain_name(chain))?;
    }
    Ok(())
}

/// Words in lines of at most 80 letters.
fn lines(words: impl Iterator<Item = String>) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in words {
        if width + word.len() > 80 {
            text.push('\n');
            width = 0;
        }
        width += word.len();
        text.push_str(&word);
    }
    text
}
