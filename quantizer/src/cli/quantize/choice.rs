//! What a user chooses for one part of a model.

use quantizer::scheme::{Activations, OUTLIERS, Part, Residual};

/// A choice for one part of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    Residual(Residual),
    Activations(Activations),
}

pub(super) fn part(text: &str) -> Result<(Part, Choice), String> {
    let (part, choice) = text.split_once(':').ok_or("PART:CHOICE was expected, as in trunk:residual=8")?;
    let part = match part {
        "lm" => Part::LanguageModel,
        "trunk" => Part::Trunk,
        "structure" => Part::Structure,
        _ => return Err("the part must be lm, trunk or structure".to_owned()),
    };
    let choice = match choice.split_once('=') {
        Some(("residual", "16")) => Choice::Residual(Residual::Wide),
        Some(("residual", text)) => {
            let (bits, uniform) = text.strip_suffix("-uniform").map_or((text, false), |bits| (bits, true));
            let bits = residual_bits(bits).ok().filter(|&bits| bits <= 8);
            let bits = bits.ok_or("a residual has 16, 2 to 8, or 2-uniform to 8-uniform bits")?;
            Choice::Residual(if uniform { Residual::Uniform(bits) } else { Residual::Piecewise(bits) })
        }
        Some(("activations", "16")) => Choice::Activations(Activations::TwoLimbs),
        Some(("activations", text)) if text.ends_with("dB") => {
            let decibel = text.trim_end_matches("dB").parse().ok().filter(|ratio: &f64| ratio.is_finite());
            let decibel = decibel.ok_or("activations=NdB has a number before dB")?;
            Choice::Activations(Activations::AsNeeded { share: OUTLIERS, decibel })
        }
        Some(("activations", text)) => {
            let percent = text.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
            let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
            let percent =
                percent.ok_or("activations are 16, a ratio in dB, or a percentage from 0% to 100%")?;
            Choice::Activations(Activations::Outliers(percent / 100.0))
        }
        _ => return Err("the choice must be residual=... or activations=...".to_owned()),
    };
    Ok((part, choice))
}

pub(super) fn residual_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2..=8 | 16)) => Ok(bits),
        _ => Err("2 to 8, or 16".to_owned()),
    }
}
