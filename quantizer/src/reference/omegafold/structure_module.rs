//! From the representations to atoms: ESMFold's operations, each iteration with weights of its own.

use candle_core::Tensor;

use super::Weights;
use super::weights::{inputs, outputs};
use crate::checkpoint::{OmegaFold, StructureConfig};
use crate::reference::esmfold::angle_resnet::AngleResnet;
use crate::reference::esmfold::atoms::{atom14_positions, torsion_frames};
use crate::reference::esmfold::backbone_update::BackboneUpdate;
use crate::reference::esmfold::invariant_point_attention::InvariantPointAttention;
use crate::reference::esmfold::residues::{ATOM14, GROUPS, Residue};
use crate::reference::esmfold::rigid::{Frame, Rigid};
use crate::reference::esmfold::structure_transition::StructureTransition;
use crate::reference::ops::{LayerNorm, Linear};
use crate::reference::{ReferenceError, Tap};
use crate::table::TORSIONS;

/// The structure module.
pub struct StructureModule {
    scale: f64,
    /// From the node representation, `[width, node width]`.
    pub sequence_input: Linear,
    /// After it.
    pub sequence_norm: LayerNorm,
    /// On the pair representation.
    pub pair_norm: LayerNorm,
    /// `[width, width]`, before the first iteration.
    pub initial: Linear,
    /// Weights of the iterations.
    pub iterations: Vec<Iteration>,
    /// From the last state to torsions.
    pub angle_resnet: AngleResnet,
}

/// The weights of an iteration.
pub struct Iteration {
    /// Attention between residues.
    pub attention: InvariantPointAttention,
    /// On what attention was added to.
    pub attention_norm: LayerNorm,
    /// One layer.
    pub transition: StructureTransition,
    /// What moves the frames.
    pub backbone_update: BackboneUpdate,
}

/// A structure, and how it came about.
pub struct Structure {
    /// The residues' frames after each iteration, in units of the structure module.
    pub frames: Vec<Vec<Frame>>,
    /// (sine, cosine) of the residues' torsions.
    pub torsions: Vec<[[f64; 2]; TORSIONS]>,
    /// The frames of each residue's rigid groups, in angstroms; groups that it hasn't turn everything to one
    /// point.
    pub groups: Vec<[Rigid; GROUPS]>,
    /// Atoms in angstroms; places without an atom are at CA.
    pub atoms: Vec<[[f64; 3]; ATOM14]>,
    /// The sequence representation after the last iteration, `[residues, width]`.
    pub state: Tensor,
}

impl StructureModule {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor can't be read.
    pub fn load(checkpoint: &OmegaFold) -> Result<Self, ReferenceError> {
        let config = &checkpoint.config().structure;
        let weights = Weights::new(checkpoint).at("omega_fold_cycle");
        let sequence_input = weights.linear("geoformer.node_final_proj")?;
        let weights = weights.at("structure_module");
        let iteration = |index: usize| iteration(&weights.at(format_args!("cycles.{index}")), config);
        Ok(Self {
            scale: config.translation_scale,
            sequence_input,
            sequence_norm: weights.norm("node_norm")?,
            pair_norm: weights.norm("edge_norm")?,
            initial: weights.linear("init_proj")?,
            iterations: (0..config.iterations).map(iteration).collect::<Result<_, _>>()?,
            angle_resnet: angle_resnet(&weights.at("torsion_angle_pred"), config)?,
        })
    }

    /// `node` is the node representation of the sequence itself, `[residues, node width]`, `pair` is
    /// `[residues * residues, pair width]`.
    ///
    /// # Errors
    /// The shapes don't fit.
    pub fn forward(
        &self,
        node: &Tensor,
        pair: &Tensor,
        residues: &[Residue],
        tap: &mut Tap<'_>,
    ) -> Result<Structure, ReferenceError> {
        let mut tap = tap.at("structure");
        tap.show("sequence_input", node)?;
        let s = self.sequence_input.forward(node)?;
        tap.show("sequence_norm", &s)?;
        let initial = self.sequence_norm.forward(&s)?;
        tap.show("pair_norm", pair)?;
        let z = self.pair_norm.forward(pair)?;
        tap.show("initial", &initial)?;
        let mut s = self.initial.forward(&initial)?;
        let mut frames = vec![Frame::IDENTITY; residues.len()];
        let mut all_frames = Vec::with_capacity(self.iterations.len());
        for (index, iteration) in self.iterations.iter().enumerate() {
            let mut tap = tap.at(index);
            let rigids: Vec<Rigid> = frames.iter().map(|frame| frame.rigid(1.0)).collect();
            s = (&s + iteration.attention.forward(&s, &z, &rigids, &mut tap.at("attention"))?)?;
            tap.show("attention_norm", &s)?;
            s = iteration.attention_norm.forward(&s)?;
            s = iteration.transition.forward(&s, &mut tap.at("transition"))?;
            frames = iteration.backbone_update.forward(&s, &frames, &mut tap.at("backbone_update"))?;
            all_frames.push(frames.clone());
        }
        let torsions = self.angle_resnet.forward(&s, &initial, &mut tap.at("angle_resnet"))?;
        let groups: Vec<[Rigid; GROUPS]> = frames
            .iter()
            .zip(&torsions)
            .zip(residues)
            .map(|((frame, torsions), &residue)| torsion_frames(&frame.rigid(self.scale), torsions, residue))
            .collect();
        let atoms = groups.iter().zip(residues).map(|(groups, &residue)| {
            let mut atoms = atom14_positions(groups, residue);
            atoms[residue.atoms().len()..].fill(groups[0].translation);
            atoms
        });
        Ok(Structure { atoms: atoms.collect(), frames: all_frames, torsions, groups, state: s })
    }
}

fn iteration(weights: &Weights<'_>, config: &StructureConfig) -> Result<Iteration, ReferenceError> {
    let linear = |index: usize| weights.linear(&format!("transition.{index}"));
    Ok(Iteration {
        attention: attention(&weights.at("ipa"), config)?,
        attention_norm: weights.norm("input_norm")?,
        transition: StructureTransition {
            layers: vec![[linear(0)?, linear(1)?, linear(2)?]],
            norm: weights.norm("update_norm")?,
        },
        backbone_update: BackboneUpdate { linear: weights.linear("affine_update")? },
    })
}

/// Here x, y and z of a point are next to each other, and keys and values are apart.
fn attention(
    weights: &Weights<'_>,
    config: &StructureConfig,
) -> Result<InvariantPointAttention, ReferenceError> {
    let (heads, width) = (config.heads, config.head_width);
    let (of_query, of_value) = (config.query_points, config.value_points);
    let joined = |first: &str, second: &str| Linear::join(&[weights.linear(first)?, weights.linear(second)?]);
    // For each head the keys' channels, then the values'.
    let channels: Vec<usize> = (0..heads)
        .flat_map(|head| [0, heads * width].map(|part| part + head * width))
        .flat_map(|first| first..first + width)
        .collect();
    // x of all points, then y, then z.
    let by_axis = |points: Vec<usize>| -> Vec<usize> {
        (0..3).flat_map(|axis| points.iter().map(move |point| 3 * point + axis)).collect()
    };
    let key_and_value_points = (0..heads)
        .flat_map(|head| {
            let keys = head * of_query..(head + 1) * of_query;
            let first = heads * of_query + head * of_value;
            keys.chain(first..first + of_value)
        })
        .collect();
    let read = heads * width;
    let points: Vec<usize> = (0..heads * of_value).collect();
    let columns: Vec<usize> = (0..read)
        .chain(by_axis(points).into_iter().map(|column| read + column))
        .chain(read + 3 * heads * of_value..read + heads * (4 * of_value + config.pair_width))
        .collect();
    Ok(InvariantPointAttention {
        heads,
        head_width: width,
        query_points: of_query,
        value_points: of_value,
        epsilon: 0.0,
        q: weights.linear("q_scalar")?,
        kv: outputs(&joined("k_scalar", "v_scalar")?, &channels)?,
        q_points: outputs(&weights.linear("q_point")?, &by_axis((0..heads * of_query).collect()))?,
        kv_points: outputs(&joined("k_point", "v_point")?, &by_axis(key_and_value_points))?,
        pair_bias: weights.linear("bias_2d")?,
        point_weights: weights.values("trainable_point_weights")?,
        output: inputs(&weights.linear("output_projection")?, &columns)?,
    })
}

fn angle_resnet(weights: &Weights<'_>, config: &StructureConfig) -> Result<AngleResnet, ReferenceError> {
    let block = |index: usize| -> Result<[Linear; 2], ReferenceError> {
        Ok([weights.linear(&format!("resblock1.{index}"))?, weights.linear(&format!("resblock2.{index}"))?])
    };
    Ok(AngleResnet {
        epsilon: config.epsilon,
        input: weights.linear("input_projection.0")?,
        initial: weights.linear("input_projection.1")?,
        blocks: (0..config.resnet_blocks).map(block).collect::<Result<_, _>>()?,
        output: weights.linear("unnormalized_angles")?,
    })
}
