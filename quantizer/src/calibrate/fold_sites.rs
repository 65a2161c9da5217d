//! What the values at a site of the folding model are for.

use foldpoint_core::esmfold::StructureConfig;

use crate::checkpoint::block_prefix;

/// A use of a site's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// The input of Linears: all columns, or those from `first` on.
    Input {
        /// The site's name in a model file.
        name: String,
        /// Which columns, if not all: the first one, and how many.
        columns: Option<(usize, usize)>,
    },
    /// A representation as it is stored.
    Residual {
        /// The site's name in a model file.
        name: String,
        /// The LayerNorm that reads it, as the checkpoint calls it; `None` if a Linear reads it.
        norm: Option<String>,
    },
    /// Values that are held, not stored.
    Held,
}

/// The uses of `site`, none if nothing has to be chosen for it. `blocks` is the number of trunk blocks.
pub fn uses(site: &str, blocks: usize, structure: &StructureConfig) -> Vec<Use> {
    let input = |name: &str| Use::Input { name: name.to_owned(), columns: None };
    if let Some((block, place)) = site.strip_prefix("fold.trunk.").and_then(|rest| rest.split_once('.')) {
        let Ok(block) = block.parse() else { return Vec::new() };
        return trunk(block, place).unwrap_or_else(|| vec![input(site)]);
    }
    let stored = |stream: &str, index: usize| Use::Residual {
        name: format!("fold.residual.{stream}.{index}"),
        norm: None,
    };
    match site {
        "fold.embedding.norm" => vec![Use::Held],
        "fold.structure.sequence_input" => vec![stored("sequence", blocks), input(site)],
        "fold.structure.pair_input" => vec![stored("pair", 6 * blocks), input(site)],
        "fold.structure.attention.output" => output_parts(site, structure),
        "fold.heads.plddt.first" => vec![input("fold.heads.plddt.linear")],
        // The three Linears are one in a model file.
        "fold.heads.plddt.second" | "fold.heads.plddt.third" => Vec::new(),
        _ if site.ends_with("norm") => Vec::new(),
        _ => vec![input(site)],
    }
}

/// The uses at a place of a trunk block; `None` for a Linear's input.
fn trunk(block: usize, place: &str) -> Option<Vec<Use>> {
    // Where the pair representation is stored, by what reads it next.
    const PAIR: [(&str, &str); 6] = [
        ("pair_bias.norm", "pair_to_sequence.layernorm"),
        ("triangle_multiplication_out.norm_in", "tri_mul_out.layer_norm_in"),
        ("triangle_multiplication_in.norm_in", "tri_mul_in.layer_norm_in"),
        ("triangle_attention_start.norm", "tri_att_start.layer_norm"),
        ("triangle_attention_end.norm", "tri_att_end.layer_norm"),
        ("pair_transition.norm", "mlp_pair.mlp.0"),
    ];
    let stored = |stream: &str, index: usize, norm: &str| {
        let norm = Some(format!("{}.{norm}", block_prefix(block)));
        vec![Use::Residual { name: format!("fold.residual.{stream}.{index}"), norm }]
    };
    if let Some(index) = PAIR.iter().position(|&(reader, _)| reader == place) {
        return Some(stored("pair", 6 * block + index, PAIR[index].1));
    }
    match place {
        "sequence_attention.norm" => Some(stored("sequence", block, "layernorm_1")),
        "sequence_transition.norm" => Some(vec![Use::Held]),
        _ if place.contains(".norm") || place.ends_with(".a") || place.ends_with(".b") => Some(Vec::new()),
        _ => None,
    }
}

/// The output Linear of invariant point attention reads its input in parts.
fn output_parts(site: &str, structure: &StructureConfig) -> Vec<Use> {
    let mut first = 0;
    let part = |part: usize| {
        let width = structure.output_part(part);
        let columns = Some((first, width));
        first += width;
        Use::Input { name: format!("{site}.{part}"), columns }
    };
    (0..=structure.pair_parts()).map(part).collect()
}
