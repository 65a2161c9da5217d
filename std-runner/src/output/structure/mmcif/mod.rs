//! mmCIF files under ModelCIF's dictionary (`mmcif_ma`), which is PDBx's and what a prediction is and how
//! good it says it is.

mod chem_comp;
mod cif;
mod metrics;
mod polymer;
mod protocol;

use std::collections::BTreeSet;
use std::io::{self, Write};

use self::cif::{items, table};
use super::entity::Entities;
use super::model::{Atom, DATE, Model, ascii, chain_name, title};
use crate::output::AlignedErrors;

/// Longest name of a data block, as CIF limits it.
const BLOCK: usize = 75;

/// Writes an mmCIF file. `B_iso_or_equiv` of an atom and `ma_qa_metric_local` of a residue hold the pLDDT, 0
/// to 100; `errors`, if given, are in `ma_qa_metric_local_pairwise`. Chains of the same sequence are one
/// entity. Residues without atoms (X) are in the sequences and in `pdbx_unobs_or_zero_occ_residues`.
///
/// # Errors
/// The writer's.
pub fn mmcif(out: &mut dyn Write, model: &Model, errors: Option<&AlignedErrors>) -> io::Result<()> {
    let entities = Entities::of(model);
    head(out, model)?;
    chem_comp::chem_comp(out, model)?;
    let elements: BTreeSet<&str> = model.atoms().map(Atom::element).collect();
    table(out, "atom_type", &["symbol"])?;
    elements.iter().try_for_each(|element| writeln!(out, "{element}"))?;
    polymer::polymers(out, model, &entities)?;
    polymer::targets(out, &entities)?;
    protocol::protocol(out, model, &entities)?;
    metrics::metrics(out, model, errors)?;
    atoms(out, model, &entities)?;
    writeln!(out, "#")
}

/// What the file is.
fn head(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let name = block_name(&model.id);
    let entry = name.as_str();
    writeln!(out, "data_{name}")?;
    items(out, "entry", &[("id", entry)])?;
    // ModelCIF's dictionary has PDBx's in it. DSSP checks a file against the first one that is named.
    let location = "https://mmcif.wwpdb.org/dictionaries/ascii/mmcif_ma.dic";
    let dictionary = [("dict_name", "mmcif_ma.dic"), ("dict_version", "1.4.2"), ("dict_location", location)];
    items(out, "audit_conform", &dictionary)?;
    items(
        out,
        "pdbx_audit_revision_history",
        &[
            ("ordinal", "1"),
            ("data_content_type", "Structure model"),
            ("major_revision", "1"),
            ("minor_revision", "0"),
            ("revision_date", DATE.0),
        ],
    )?;
    items(
        out,
        "struct",
        &[
            ("entry_id", entry),
            ("title", &title(model)),
            ("pdbx_model_details", "B_iso_or_equiv is the pLDDT, 0 (no confidence) to 100"),
            ("pdbx_structure_determination_methodology", "computational"),
        ],
    )?;
    items(out, "exptl", &[("entry_id", entry), ("method", "THEORETICAL MODEL")])
}

/// A name for the data block: what dictionaries allow in a code, `_` for all else.
fn block_name(id: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || "_-+.".contains(c) { c } else { '_' };
    let name: String = id.chars().map(keep).take(BLOCK).collect();
    match name.to_ascii_lowercase().as_str() {
        // A lone dot means that there is none.
        "" | "." => "prediction".into(),
        // Biopython takes this word for a table even in quotes.
        "loop_" => format!("{name}_"),
        _ => name,
    }
}

fn atoms(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    let columns = [
        "group_PDB",
        "id",
        "type_symbol",
        "label_atom_id",
        "label_alt_id",
        "label_comp_id",
        "label_asym_id",
        "label_entity_id",
        "label_seq_id",
        "pdbx_PDB_ins_code",
        "Cartn_x",
        "Cartn_y",
        "Cartn_z",
        "occupancy",
        "B_iso_or_equiv",
        "auth_seq_id",
        "auth_comp_id",
        "auth_asym_id",
        "auth_atom_id",
        "pdbx_PDB_model_num",
    ];
    table(out, "atom_site", &columns)?;
    let mut serial = 0;
    for placed in model.residues() {
        let (kind, chain) = (placed.residue.kind.name(), chain_name(placed.chain));
        let (number, entity) = (placed.number, entities.of_chain[placed.chain]);
        for atom in &placed.residue.atoms {
            serial += 1;
            let (name, element, [x, y, z], plddt) = (atom.name, atom.element(), atom.position, atom.plddt);
            writeln!(
                out,
                "ATOM {serial} {element} {name} . {kind} {chain} {entity} {number} ? {x:.3} {y:.3} {z:.3} 1.00 {plddt:.2} {number} {kind} {chain} {name} 1"
            )?;
        }
    }
    Ok(())
}
