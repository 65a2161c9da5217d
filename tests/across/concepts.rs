//! The numbers of `docs/CONCEPTS.md`: a row of eight channels, from floats to an output, by the engine's own
//! functions.

use foldpoint_core::fixed::{ACT_FRAC, TokenScale, exp2_neg};
use foldpoint_core::kernels::linear::{GROUP, LIMB_BITS, Linear};
use foldpoint_core::kernels::packing::{packed, row_sums};
use foldpoint_core::kernels::scalar::gemm::{dot_panel, finish};
use foldpoint_core::kernels::scalar::layer_norm::{GAIN_FRAC, layer_norm, statistics};
use foldpoint_core::kernels::scalar::quantize::quantize_row;
use foldpoint_core::quant::{Codec, Piecewise};
use foldpoint_core::{AlignedBytes, Isa, Serial, alphabet};
use quantizer::encode::{WeightCodes, quantize_weights, split, to_fixed};

use crate::outputs::everything;

const DOCUMENT: &str = include_str!("../../docs/CONCEPTS.md");

const CHANNELS: usize = 8;
/// The residual stream of one token.
const X: [f64; CHANNELS] = [0.42, -1.37, 2.85, 71.3, -0.09, 0.66, -18.4, 1.15];
/// Fractional bits of the stream's unit.
const STREAM_FRAC: u32 = 10;
const GAIN: [f64; CHANNELS] = [6.0, 5.0, 5.5, 4.0, 6.0, 5.5, 1.0, 6.0];
const BIAS: [f64; CHANNELS] = [1.5, 1.8, 1.2, 0.2, 1.7, 1.4, 0.3, 1.6];
const EPSILON: f64 = 1e-5;
/// The channel of the Linear's input that has two limbs.
const OUTLIERS: [u16; 1] = [3];
const WEIGHTS: [[f32; CHANNELS]; 2] = [
    [0.12, -0.31, 0.07, 0.45, -0.22, 0.18, -0.05, 0.26],
    [-0.024, 0.008, 0.051, -0.013, 0.037, -0.046, 0.019, 0.030],
];
const LINEAR_BIAS: [f64; 2] = [0.10, -0.02];

fn uniform() -> Codec {
    Codec::Piecewise(Piecewise::new([0, 71, 183, 0], [0, 504, 0]).unwrap())
}

fn piecewise() -> Codec {
    Codec::Piecewise(Piecewise::new([16, 95, 95, 49], [1860, 64, 1757]).unwrap())
}

fn sixteen() -> Codec {
    Codec::Wide { step: 3 }
}

/// The stream's values as integers, coded and decoded.
fn stored(codec: Codec) -> [i32; CHANNELS] {
    X.map(|x| codec.decode(codec.encode(to_fixed(x, STREAM_FRAC), 0), 0))
}

fn real(units: i32, frac: u32) -> f64 {
    f64::from(units) * (-f64::from(frac)).exp2()
}

/// LayerNorm of a row in stream units, in activation units.
fn normal(x: [i32; CHANNELS]) -> [i32; CHANNELS] {
    let (gain, bias) = (GAIN.map(|v| to_fixed(v, GAIN_FRAC as u32)), BIAS.map(|v| to_fixed(v, ACT_FRAC)));
    let mut y = [0; CHANNELS];
    layer_norm(&x, &gain, &bias, epsilon(), &mut y);
    y
}

fn epsilon() -> u64 {
    to_fixed(EPSILON, 2 * STREAM_FRAC) as u64
}

fn float_normal() -> [f64; CHANNELS] {
    let mean = X.iter().sum::<f64>() / CHANNELS as f64;
    let variance = X.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / CHANNELS as f64;
    let deviation = (variance + EPSILON).sqrt();
    std::array::from_fn(|c| (X[c] - mean) / deviation * GAIN[c] + BIAS[c])
}

fn float_output() -> [f64; 2] {
    let y = float_normal();
    let dot = |row: [f32; CHANNELS]| row.iter().zip(y).map(|(&w, y)| f64::from(w) * y).sum::<f64>();
    std::array::from_fn(|n| dot(WEIGHTS[n]) + LINEAR_BIAS[n])
}

/// A quantized row: the scale, the high limbs, and the codes of all channels.
fn quantized(y: [i32; CHANNELS], outliers: &[u16]) -> (TokenScale, Vec<i8>, Vec<i8>) {
    let mut codes = vec![0; outliers.len().next_multiple_of(GROUP) + CHANNELS];
    let scale = quantize_row(&y, outliers, &mut codes);
    let low = codes.split_off(codes.len() - CHANNELS);
    (scale, codes, low)
}

/// A Linear's integers as a model file has them.
struct StoredRow {
    /// `[outputs, inputs]`
    codes: Vec<i8>,
    scales: Vec<f64>,
    mantissas: Vec<u16>,
    shifts: Vec<i8>,
    bias: [i32; 2],
}

fn linear() -> StoredRow {
    let WeightCodes { codes, scales } = quantize_weights(WEIGHTS.as_flattened(), CHANNELS, None);
    let multipliers: Vec<(u64, i32)> = scales.iter().map(|&scale| split(scale, 16)).collect();
    StoredRow {
        codes,
        scales,
        mantissas: multipliers.iter().map(|&(mantissa, _)| mantissa as u16).collect(),
        shifts: multipliers.iter().map(|&(_, shift)| shift as i8).collect(),
        bias: LINEAR_BIAS.map(|v| to_fixed(v, ACT_FRAC)),
    }
}

/// What a Linear makes of a row: sums over the high limbs and over all channels, and the output.
struct Product {
    high: [i32; 2],
    low: [i32; 2],
    output: [i32; 2],
}

fn product(y: [i32; CHANNELS], outliers: &[u16]) -> Product {
    let stored = linear();
    let shape = [stored.bias.len(), CHANNELS];
    let packed: Vec<i8> = packed(&stored.codes, shape, outliers).collect();
    let sums: Vec<i32> = row_sums(&stored.codes, shape, outliers).collect();
    let (mantissas, shifts) = (&stored.mantissas, &stored.shifts);
    let linear =
        Linear::from_parts(&packed, &stored.bias, mantissas, shifts, &sums, outliers, CHANNELS).unwrap();
    let panel = linear.panel(0).unwrap();
    let (scale, high, low) = quantized(y, outliers);
    let (high, low) = (dot_panel(&high, panel.high), dot_panel(&low, panel.low));
    let sums = std::array::from_fn(|n| (high[n] << LIMB_BITS) + low[n]);
    let mut output = [0; 2];
    finish(&panel, &sums, scale, &mut output);
    Product { high: [high[0], high[1]], low: [low[0], low[1]], output }
}

/// The document has these lines.
fn assert_table(lines: &str) {
    assert!(DOCUMENT.contains(lines), "docs/CONCEPTS.md should have:\n\n{lines}");
}

/// The document has these words, wherever its lines end.
fn assert_words(words: &str) {
    let document = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(document.contains(words), "docs/CONCEPTS.md should have: {words}");
}

/// A table whose columns are numbers but for the first.
fn table(head: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = format!("|---|{}", "---:|".repeat(head.split('|').count() - 1));
    let rows = rows.into_iter().map(|row| format!("| {} |\n", row.join(" | ")));
    format!("| {head} |\n{line}\n{}", rows.collect::<String>())
}

fn channels(cells: impl Fn(usize) -> Vec<String>) -> impl Iterator<Item = Vec<String>> {
    (0..CHANNELS).map(move |c| [vec![c.to_string()], cells(c)].concat())
}

#[test]
fn the_stream_in_codes() {
    let codecs = [uniform(), piecewise(), sixteen()];
    let rows = channels(|c| {
        let x = to_fixed(X[c], STREAM_FRAC);
        let coded = codecs.map(|codec| {
            let code = codec.encode(x, 0);
            [code.to_string(), format!("{:.3}", real(codec.decode(code, 0), STREAM_FRAC))]
        });
        [vec![format!("{:.2}", X[c]), x.to_string()], coded.concat()].concat()
    });
    let head = "channel | float | units | uniform | is | piecewise | is | 16 bits | is";
    assert_table(&table(head, rows));
}

#[test]
fn layer_norm_in_integers() {
    let x = stored(piecewise());
    let (mean, rsqrt) = statistics(&x, epsilon());
    assert_words(&format!(
        "mean {mean}, reciprocal of the standard deviation {} * 2^-{} (a deviation of {:.2})",
        rsqrt.mantissa,
        rsqrt.shift,
        f64::from(rsqrt.shift - STREAM_FRAC as i32).exp2() / f64::from(rsqrt.mantissa)
    ));
    let (y, exact) = (normal(x), float_normal());
    let rows = channels(|c| {
        let unscaled = rsqrt.scaled(ACT_FRAC as i32).apply(x[c] - mean);
        vec![
            x[c].to_string(),
            (x[c] - mean).to_string(),
            unscaled.to_string(),
            format!("{:.1}", GAIN[c]),
            format!("{:.1}", BIAS[c]),
            y[c].to_string(),
            format!("{:.4}", real(y[c], ACT_FRAC)),
            format!("{:.4}", exact[c]),
        ]
    });
    let head = "channel | stream | minus mean | over deviation | gain | bias | times gain, plus bias | is | in floats";
    assert_table(&table(head, rows));
}

#[test]
fn the_row_quantized() {
    let y = normal(stored(piecewise()));
    let (one, none, all) = quantized(y, &[]);
    let (two, high, low) = quantized(y, &OUTLIERS);
    assert!(none.is_empty());
    let step =
        |scale: TokenScale| real(i32::from(scale.mantissa), ACT_FRAC) * f64::from(scale.exponent).exp2();
    for (what, scale) in [("one limb", one), ("two limbs", two)] {
        assert_words(&format!(
            "{what}: {} * 2^{} units, a step of {:.5}",
            scale.mantissa,
            scale.exponent,
            step(scale)
        ));
    }
    let rows = channels(|c| {
        let limb = if usize::from(OUTLIERS[0]) == c { Some(high[0]) } else { None };
        let code = (i32::from(limb.unwrap_or(0)) << LIMB_BITS) + i32::from(low[c]);
        vec![
            y[c].to_string(),
            format!("{:.4}", real(y[c], ACT_FRAC)),
            all[c].to_string(),
            format!("{:.4}", f64::from(all[c]) * step(one)),
            limb.map_or_else(String::new, |limb| limb.to_string()),
            low[c].to_string(),
            format!("{:.4}", f64::from(code) * step(two)),
        ]
    });
    let head = "channel | units | is | code, one limb | is | high limb | low limb | is";
    assert_table(&table(head, rows));
}

#[test]
fn weights_with_a_scale_each() {
    let stored = linear();
    let list = |codes: &[i8]| codes.iter().map(i8::to_string).collect::<Vec<_>>().join(", ");
    let rows = (0..2).map(|n| {
        vec![
            n.to_string(),
            list(&stored.codes[n * CHANNELS..][..CHANNELS]),
            format!("{:.7}", stored.scales[n]),
            format!("{} * 2^-{}", stored.mantissas[n], stored.shifts[n]),
            stored.bias[n].to_string(),
        ]
    });
    assert_table(&table("output | codes of the weights | scale | in the file | bias", rows));
    let (decimals, largest) = ([2, 3], [0.45, 0.051]);
    let list = |n: usize| WEIGHTS[n].map(|weight| format!("{weight:.*}", decimals[n])).join(", ");
    let rows = (0..2).map(|n| vec![n.to_string(), list(n), format!("{:.2}", LINEAR_BIAS[n])]);
    assert_table(&table("output | weights | bias", rows));
    assert_words(&format!("its largest weight is 127: {} / 127 and {} / 127", largest[0], largest[1]));
    for (largest, scale) in largest.into_iter().zip(stored.scales) {
        assert!((largest / 127.0 - scale).abs() < 1e-8, "{scale}");
    }
}

#[test]
fn exact_sums_and_one_rounding() {
    let Product { high, low, output } = product(normal(stored(piecewise())), &OUTLIERS);
    let (scale, ..) = quantized(normal(stored(piecewise())), &OUTLIERS);
    let stored = linear();
    let rows = (0..2).map(|n| {
        let mantissa = i64::from(scale.mantissa) * i64::from(stored.mantissas[n]);
        vec![
            n.to_string(),
            high[n].to_string(),
            low[n].to_string(),
            ((high[n] << LIMB_BITS) + low[n]).to_string(),
            format!("{mantissa} * 2^-{}", i32::from(stored.shifts[n]) - i32::from(scale.exponent)),
            (output[n] - stored.bias[n]).to_string(),
            output[n].to_string(),
            format!("{:.5}", real(output[n], ACT_FRAC)),
        ]
    });
    let head = "output | high limbs | low limbs | sum | multiplier | requantized | plus bias | is";
    assert_table(&table(head, rows));
}

#[test]
fn what_each_choice_costs() {
    let exact = float_output();
    let paths: [(&str, Codec, &[u16]); 4] = [
        ("16-bit stream, two limbs", sixteen(), &OUTLIERS),
        ("8-bit piecewise stream, two limbs", piecewise(), &OUTLIERS),
        ("8-bit piecewise stream, one limb", piecewise(), &[]),
        ("8-bit uniform stream, two limbs", uniform(), &OUTLIERS),
    ];
    let integers = paths.map(|(name, codec, outliers)| {
        let output = product(normal(stored(codec)), outliers).output.map(|v| real(v, ACT_FRAC));
        (name, output)
    });
    let row = |name: &str, output: [f64; 2]| {
        let cells = (0..2)
            .flat_map(|n| [format!("{:.4}", output[n]), format!("{:.4}", (output[n] - exact[n]).abs())]);
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    let rows = std::iter::once(("float", exact)).chain(integers).map(|(name, output)| row(name, output));
    assert_table(&table("| output 0 | error | output 1 | error", rows));
}

#[test]
fn softmax_in_integers() {
    let logits = [2.0, 1.3, -0.5, -4.0];
    let scores = logits.map(|logit: f64| to_fixed(logit * std::f64::consts::LOG2_E, ACT_FRAC));
    let exponents = scores.map(|score| (((scores[0] - score) as u32 + 16) >> 5).min(65_535) as u16);
    let weights = exponents.map(exp2_neg);
    let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    let rows = (0..logits.len()).map(|j| {
        vec![
            format!("{:.1}", logits[j]),
            scores[j].to_string(),
            (scores[0] - scores[j]).to_string(),
            exponents[j].to_string(),
            weights[j].to_string(),
            format!("{:.5}", f64::from(weights[j]) / f64::from(sum)),
            format!("{:.5}", logits[j].exp() / total),
        ]
    });
    assert_table(&table("logit | times log2(e) | below the largest | t | 2^-t | share | in floats", rows));
    assert_words(&format!("The powers' sum is {sum}"));
}

/// The residual stream of the built-in model after its fifth layer, for 2LV8.
#[test]
fn a_real_stream() {
    const LAYER: usize = 5;
    /// The embedding and what each of ten layers leaves.
    const STATES: usize = 11;
    let residues = b"MLLYVLIISNDKKLIEEARKMAEKANLELRTVKTEDELKKYLEEFRKESQNIKVLILVSNDEELDKAKELAQKMEIDVRTRKVTSPDEAKRWIKEFSEEG";
    let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default.fpm")).unwrap();
    let tokens: Vec<u8> = alphabet::tokens(residues).collect();
    let hidden = everything(&AlignedBytes::copy_of(&model), &tokens, Isa::best(), &Serial, 0).unwrap().hidden;
    let layer = &hidden[LAYER * hidden.len() / STATES..][..hidden.len() / STATES];
    let width = layer.len() / tokens.len();
    let values: Vec<f64> = layer[width..layer.len() - width].iter().map(|&v| real(v, ACT_FRAC)).collect();

    let mut sorted = values.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let part = |part: f64| sorted[(part * (sorted.len() - 1) as f64) as usize];
    let (low, high) = (part(0.0), part(1.0));
    // Headroom and levels as the quantizer gives uniform 8-bit codes.
    let step = (high - low) * 1.25 / 254.0;
    let zeros = values.iter().filter(|v| v.abs() < step / 2.0).count();
    let loud: std::collections::BTreeSet<usize> =
        (0..values.len()).filter(|&i| values[i] > 32.0).map(|i| i % width).collect();
    let rows = [
        ("values", values.len().to_string()),
        ("lowest, highest", format!("{low:.1}, {high:.1}")),
        ("98 in 100 lie between", format!("{:.1} and {:.1}", part(0.01), part(0.99))),
        ("half lie between", format!("{:.2} and {:.2}", part(0.25), part(0.75))),
        ("channels with a value above 32", loud.len().to_string()),
        ("step of uniform 8-bit codes over 1.25 times the range", format!("{step:.2}")),
        (
            "levels between the two bounds of the 98",
            format!("{}", ((part(0.99) - part(0.01)) / step) as usize),
        ),
        ("values that become 0", format!("{:.0}%", 100.0 * zeros as f64 / values.len() as f64)),
    ];
    assert_table(&table("of the stream | is", rows.map(|(what, is)| vec![what.to_owned(), is])));
}
