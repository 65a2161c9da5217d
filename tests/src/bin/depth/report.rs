//! Tables of what was found.

use std::io::{self, Write};

use super::comparison::Agreements;
use super::places::Place;

/// All that is known, a line for each place and model.
///
/// # Errors
/// Those of `out`.
pub fn tsv(out: &mut impl Write, models: &[String], agreements: &Agreements) -> io::Result<()> {
    writeln!(
        out,
        "state\tpass\tnumber\tmodel\treference_rms\tsnr_db\tmedian_snr_db\tworst_snr_db\tmean_cosine\tworst_cosine"
    )?;
    for (place, of_models) in agreements {
        let ([pass, number], kind) = (place.numbers(), place.kind());
        for (model, agreement) in models.iter().zip(of_models) {
            let [median, worst] = agreement.sequences_snr();
            writeln!(
                out,
                "{kind}\t{pass}\t{number}\t{model}\t{:.6}\t{:.3}\t{median:.3}\t{worst:.3}\t{:.7}\t{:.7}",
                agreement.reference_rms(),
                agreement.snr(),
                agreement.cosine(),
                agreement.worst_cosine()
            )?;
        }
    }
    Ok(())
}

/// A Markdown table for each kind of state: the signal-to-noise ratios of the median and the worst sequence in dB, and
/// the rows' mean cosine. Of layers and blocks every `every`-th, and the first and the last.
///
/// # Errors
/// Those of `out`.
pub fn markdown(
    out: &mut impl Write,
    models: &[String],
    agreements: &Agreements,
    every: usize,
) -> io::Result<()> {
    for kind in ["hidden", "sequence", "pair"] {
        let of_kind: Vec<_> = agreements.iter().filter(|(place, _)| place.kind() == kind).collect();
        let Some(last) = of_kind.iter().map(|(place, _)| place.numbers()[1]).max() else { continue };
        let title = match kind {
            "hidden" => "hidden state",
            _ => "pass, block",
        };
        writeln!(out, "\n{}: SNR in dB of the median and of the worst sequence (mean cosine)\n", name(kind))?;
        writeln!(out, "| {title} | reference, rms | {} |", models.join(" | "))?;
        writeln!(out, "|---|---:|{}", "---:|".repeat(models.len()))?;
        for (place, of_models) in of_kind {
            let [pass, number] = place.numbers();
            if number % every != 0 && number != last {
                continue;
            }
            let label = match place {
                Place::Hidden(_) => number.to_string(),
                _ => format!("{}, {}", pass + 1, number + 1),
            };
            write!(out, "| {label} | {:.3} |", of_models.first().map_or(0.0, |first| first.reference_rms()))?;
            for agreement in of_models {
                let [median, worst] = agreement.sequences_snr();
                write!(out, " {median:.1}, {worst:.1} ({:.5}) |", agreement.cosine())?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn name(kind: &str) -> &'static str {
    match kind {
        "hidden" => {
            "Hidden states of the language model (0: the embedding; the last: after the final LayerNorm)"
        }
        "sequence" => "Sequence representation, after blocks of the trunk",
        _ => "Pair representation, after blocks of the trunk",
    }
}
