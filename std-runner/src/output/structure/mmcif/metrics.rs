//! How good the prediction says it is: `ma_qa_metric` of ModelCIF.

use std::io::{self, Write};

use super::cif::{row, table};
use super::protocol::SOFTWARE_GROUP;
use crate::output::AlignedErrors;
use crate::output::structure::model::{Model, Scores, chain_name};

const GLOBAL_PLDDT: usize = 1;
const LOCAL_PLDDT: usize = 2;
const PTM: usize = 3;
const IPTM: usize = 4;
const PAE: usize = 5;
const CYCLE: usize = 6;

/// All scores of a model, and with `errors` those of the pairs of its residues.
pub fn metrics(out: &mut dyn Write, model: &Model, errors: Option<&AlignedErrors>) -> io::Result<()> {
    table(out, "ma_qa_metric", &["id", "name", "description", "mode", "type", "software_group_id"])?;
    let Scores { ptm, iptm, best_cycle } = model.scores;
    for (id, name, description, mode, there) in [
        (GLOBAL_PLDDT, "pLDDT", "Mean predicted lDDT of the CA atoms, 0 to 100", "global", true),
        (LOCAL_PLDDT, "pLDDT", "Predicted lDDT of the residue's CA atom, 0 to 100", "local", true),
        (PTM, "pTM", "Predicted TM-score, 0 to 1", "global", ptm.is_some()),
        (IPTM, "ipTM", "Predicted TM-score of the interfaces, 0 to 1", "global", iptm.is_some()),
        (
            PAE,
            "PAE",
            "Predicted error of residue 2's position, residue 1 aligned, in angstroms",
            "local-pairwise",
            errors.is_some(),
        ),
    ] {
        if there {
            row(out, &[&id.to_string(), name, description, mode, name, SOFTWARE_GROUP])?;
        }
    }
    if best_cycle.is_some() {
        let description = "Mean confidence in which residues count by their neighbours; the best cycle's";
        let cells = [&CYCLE.to_string(), "confidence", description, "global", "other", SOFTWARE_GROUP];
        row(out, &cells)?;
    }
    table(out, "ma_qa_metric_global", &["ordinal_id", "model_id", "metric_id", "metric_value"])?;
    writeln!(out, "1 1 {GLOBAL_PLDDT} {:.2}", model.mean_plddt())?;
    let others = [
        (PTM, ptm.map(f64::from)),
        (IPTM, iptm.map(f64::from)),
        (CYCLE, best_cycle.map(|best| best.confidence())),
    ];
    let others = others.into_iter().filter_map(|(id, value)| Some((id, value?)));
    for (ordinal, (id, value)) in (2..).zip(others) {
        writeln!(out, "{ordinal} 1 {id} {value:.3}")?;
    }
    local(out, model)?;
    errors.map_or(Ok(()), |errors| pairwise(out, model, errors))
}

fn local(out: &mut dyn Write, model: &Model) -> io::Result<()> {
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
    let scored = model.residues().filter_map(|placed| Some((placed.residue.plddt()?, placed)));
    for (ordinal, (plddt, placed)) in (1..).zip(scored) {
        let (chain, name) = (chain_name(placed.chain), placed.residue.kind.name());
        writeln!(out, "{ordinal} 1 {LOCAL_PLDDT} {chain} {} {name} {plddt:.2}", placed.number)?;
    }
    Ok(())
}

fn pairwise(out: &mut dyn Write, model: &Model, errors: &AlignedErrors) -> io::Result<()> {
    let columns = [
        "ordinal_id",
        "model_id",
        "metric_id",
        "label_asym_id_1",
        "label_seq_id_1",
        "label_comp_id_1",
        "label_asym_id_2",
        "label_seq_id_2",
        "label_comp_id_2",
        "metric_value",
    ];
    table(out, "ma_qa_metric_local_pairwise", &columns)?;
    let residues: Vec<String> = model
        .modelled()
        .map(|placed| {
            format!("{} {} {}", chain_name(placed.chain), placed.number, placed.residue.kind.name())
        })
        .collect();
    let mut ordinal = 0;
    for (first, row) in residues.iter().zip(errors.rows()) {
        for (second, value) in residues.iter().zip(row) {
            ordinal += 1;
            writeln!(out, "{ordinal} 1 {PAE} {first} {second} {value:.2}")?;
        }
    }
    Ok(())
}
