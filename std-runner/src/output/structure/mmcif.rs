//! mmCIF files: the dictionaries `mmcif_pdbx` and, for the pLDDT of residues, ModelCIF.

use std::io::{self, Write};

use super::model::{Model, Residue, ascii, chain_name};
use fasta::ascii_name;

/// Writes an mmCIF file. `B_iso_or_equiv` of an atom and `ma_qa_metric_local` of a residue hold the pLDDT, 0 to 100. Chains
/// of the same sequence are one entity. Residues without atoms (X) are only in `entity_poly_seq`.
///
/// # Errors
/// The writer's.
pub fn mmcif(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let name = ascii_name(&model.id);
    let entities = Entities::of(model);
    // In quotes, since some words mean something.
    writeln!(out, "data_{name}\n_entry.id '{name}'\n_struct.entry_id '{name}'\n_struct.title")?;
    text(out, &format!("Predicted structure of {}", ascii(&model.id)))?;
    writeln!(out, "_struct.pdbx_model_details")?;
    text(out, &model.remarks.iter().map(|remark| ascii(remark)).collect::<Vec<_>>().join("\n"))?;
    entities.write(out, model)?;
    local_metrics(out, model, &entities)?;
    atoms(out, model, &entities)?;
    writeln!(out, "#")
}

/// Which chains have the same sequence.
struct Entities {
    /// Of each chain, from 1.
    of_chain: Vec<usize>,
    /// The first chain of each.
    first: Vec<usize>,
}

impl Entities {
    fn of(model: &Model) -> Self {
        let mut entities = Self { of_chain: vec![], first: vec![] };
        let kinds = |chain: usize| model.chains[chain].residues.iter().map(|residue| residue.kind);
        for chain in 0..model.chains.len() {
            let known = entities.first.iter().position(|&first| kinds(first).eq(kinds(chain)));
            let entity = known.unwrap_or_else(|| {
                entities.first.push(chain);
                entities.first.len() - 1
            });
            entities.of_chain.push(entity + 1);
        }
        entities
    }

    fn write(&self, out: &mut dyn Write, model: &Model) -> io::Result<()> {
        table(out, "entity", &["id", "type"])?;
        for entity in 1..=self.first.len() {
            writeln!(out, "{entity} polymer")?;
        }
        table(out, "entity_poly", &["entity_id", "type", "pdbx_strand_id", "pdbx_seq_one_letter_code"])?;
        for (entity, &first) in (1..).zip(&self.first) {
            let strands = self.of_chain.iter().enumerate().filter(|&(_, &of)| of == entity);
            let strands: Vec<String> = strands.map(|(chain, _)| chain_name(chain)).collect();
            writeln!(out, "{entity} 'polypeptide(L)' {}", strands.join(","))?;
            let letters: Vec<char> = model.chains[first].residues.iter().map(|r| r.kind.letter()).collect();
            let lines: Vec<String> = letters.chunks(80).map(|line| line.iter().collect()).collect();
            text(out, &lines.join("\n"))?;
        }
        table(out, "entity_poly_seq", &["entity_id", "num", "mon_id"])?;
        for (entity, &first) in (1..).zip(&self.first) {
            for (number, residue) in (1..).zip(&model.chains[first].residues) {
                writeln!(out, "{entity} {number} {}", residue.kind.name())?;
            }
        }
        table(out, "struct_asym", &["id", "entity_id"])?;
        for (chain, entity) in self.of_chain.iter().enumerate() {
            writeln!(out, "{} {entity}", chain_name(chain))?;
        }
        Ok(())
    }
}

fn local_metrics(out: &mut dyn Write, model: &Model, entities: &Entities) -> io::Result<()> {
    table(out, "ma_qa_metric", &["id", "name", "mode", "type"])?;
    writeln!(out, "1 pLDDT global pLDDT\n2 pLDDT local pLDDT")?;
    table(out, "ma_qa_metric_global", &["ordinal_id", "model_id", "metric_id", "metric_value"])?;
    writeln!(out, "1 1 1 {:.2}", model.mean_plddt())?;
    let columns = [
        "ordinal_id",
        "model_id",
        "metric_id",
        "label_asym_id",
        "label_seq_id",
        "label_comp_id",
        "metric_value",
    ];
    table(out, "ma_qa_metric_local", &columns)?;
    let mut ordinal = 0;
    for_each_residue(model, entities, |_, chain, number, residue| {
        let Some(plddt) = residue.plddt() else { return Ok(()) };
        ordinal += 1;
        writeln!(out, "{ordinal} 1 2 {chain} {number} {} {plddt:.2}", residue.kind.name())
    })
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
    for_each_residue(model, entities, |entity, chain, number, residue| {
        let kind = residue.kind.name();
        for atom in &residue.atoms {
            serial += 1;
            let (name, element, [x, y, z], plddt) = (atom.name, atom.element(), atom.position, atom.plddt);
            writeln!(
                out,
                "ATOM {serial} {element} {name} . {kind} {chain} {entity} {number} ? {x:.3} {y:.3} {z:.3} 1.00 {plddt:.2} {number} {kind} {chain} {name} 1"
            )?;
        }
        Ok(())
    })
}

/// Calls `each` with entity, chain name, number and the residue.
fn for_each_residue(
    model: &Model,
    entities: &Entities,
    mut each: impl FnMut(usize, &str, usize, &Residue) -> io::Result<()>,
) -> io::Result<()> {
    for (index, (chain, &entity)) in model.chains.iter().zip(&entities.of_chain).enumerate() {
        let name = chain_name(index);
        for (number, residue) in (1..).zip(&chain.residues) {
            each(entity, &name, number, residue)?;
        }
    }
    Ok(())
}

fn table(out: &mut dyn Write, category: &str, columns: &[&str]) -> io::Result<()> {
    writeln!(out, "#\nloop_")?;
    columns.iter().try_for_each(|column| writeln!(out, "_{category}.{column}"))
}

/// A text field; no line of it may begin with `;`.
fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, ";{}\n;", text.replace("\n;", "\n ;"))
}
