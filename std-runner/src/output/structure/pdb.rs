//! PDB files, format 3.3.

use std::io::{self, Write};

use super::entity::Entities;
use super::model::{Atom, DATE, Method, Model, NAMES, ascii, chain_name, title};

/// Largest serial number of an atom or TER record.
const MAX_SERIAL: usize = 99_999;
/// Largest residue number, and largest number of residues in SEQRES.
const MAX_NUMBER: usize = 9_999;
/// Coordinates that have room in 8 columns with three decimals.
const COORDINATES: std::ops::Range<f64> = -999.9995..9999.9995;
/// The first of the remarks that the format leaves to free text (6 to 99).
const FREE_TEXT: u32 = 6;
/// The remark for residues without coordinates.
const MISSING: u32 = 465;
/// Residues in a SEQRES record.
const IN_SEQRES: usize = 13;

/// What a PDB file has no room for.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PdbLimit {
    /// Too many chains.
    #[error("{0} chains; a PDB file holds at most {max}: use --format cif", max = NAMES.len())]
    Chains(usize),
    /// Too many residues in a chain.
    #[error("a chain of {0} residues; a PDB file holds at most {MAX_NUMBER}: use --format cif")]
    Residues(usize),
    /// Too many atoms.
    #[error("{0} atoms and ends of chains; a PDB file holds at most {MAX_SERIAL}: use --format cif")]
    Serials(usize),
    /// A coordinate is too large.
    #[error("a coordinate of {0:.3} A; a PDB file holds -999.999 to 9999.999: use --format cif")]
    Coordinate(f64),
}

/// Whether chains of these residues and atoms (OXT included) have room in a PDB file; all but the coordinates
/// is known before folding.
///
/// # Errors
/// [`PdbLimit`] with the number that is too large.
pub fn fits_pdb(chains: &[usize], atoms: usize) -> Result<(), PdbLimit> {
    if chains.len() > NAMES.len() {
        return Err(PdbLimit::Chains(chains.len()));
    }
    if let Some(&residues) = chains.iter().find(|&&residues| residues > MAX_NUMBER) {
        return Err(PdbLimit::Residues(residues));
    }
    let serials = atoms + chains.len();
    if serials > MAX_SERIAL { Err(PdbLimit::Serials(serials)) } else { Ok(()) }
}

/// Writes a PDB file. The B-factor column holds the pLDDT, 0 to 100. Residues without atoms (X) are in SEQRES
/// and REMARK 465, and leave a gap in the numbers.
///
/// # Errors
/// The writer's, or a [`PdbLimit`] as [`io::ErrorKind::InvalidInput`].
pub fn pdb(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    check(model).map_err(|limit| io::Error::new(io::ErrorKind::InvalidInput, limit))?;
    record(out, &format!("HEADER    {:<40}{}", "PREDICTED STRUCTURE", DATE.1))?;
    continued(out, "TITLE", &[title(model)])?;
    compounds(out, model)?;
    record(out, "EXPDTA    THEORETICAL MODEL")?;
    remarks(out, model)?;
    seqres(out, model)?;
    no_crystal(out)?;
    atoms(out, model)?;
    record(out, "END")
}

fn check(model: &Model) -> Result<(), PdbLimit> {
    let chains: Vec<usize> = model.chains.iter().map(|chain| chain.residues.len()).collect();
    fits_pdb(&chains, model.atoms().count())?;
    let mut coordinates = model.atoms().flat_map(|atom| atom.position);
    coordinates.find(|x| !COORDINATES.contains(x)).map_or(Ok(()), |x| Err(PdbLimit::Coordinate(x)))
}

/// A line of 80 columns.
fn record(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "{text:<80}")
}

/// A record of several lines; each of `parts` begins a new one.
fn continued(out: &mut dyn Write, name: &str, parts: &[String]) -> io::Result<()> {
    let lines = parts.iter().flat_map(|part| wrapped(part, 69));
    for (number, line) in (1..).zip(lines) {
        let number = if number == 1 { String::new() } else { format!("{number:3} ") };
        record(out, &format!("{name:<7}{number:3}{line}"))?;
    }
    Ok(())
}

/// What the chains are.
fn compounds(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let entities = Entities::of(model);
    let mut parts = Vec::new();
    for entity in 1..=entities.first.len() {
        // Both characters end something here.
        let name = entities.description(model, entity).replace([':', ';'], " ");
        parts.push(format!("MOL_ID: {entity};"));
        parts.push(format!("MOLECULE: {};", name.trim()));
        parts.push(format!("CHAIN: {};", entities.strands(entity).join(", ")));
    }
    continued(out, "COMPND", &parts)
}

/// What made the structure and how good it says it is; then which residues have no atoms.
fn remarks(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let (made, scores) = (&model.provenance, &model.scores);
    let ptm = scores.ptm.map_or_else(String::new, |ptm| format!(" PTM {ptm:.3}"));
    let iptm = scores.iptm.map_or_else(String::new, |iptm| format!(" IPTM {iptm:.3}"));
    let cycle = scores.best_cycle.map_or_else(String::new, |best| {
        format!(" CONFIDENCE {:.3} OF CYCLE {}", best.confidence(), best.number)
    });
    let method = match made.method {
        Method::EsmFold { passes } => format!("PASSES {passes}"),
        Method::OmegaFold { cycles, rows } => {
            format!("OMEGAFOLD, CYCLES {cycles}, PSEUDO-MSA ROWS {rows}")
        }
    };
    let lines = [
        format!("FOLDPOINT {}, INTEGER ARITHMETIC, {method}", env!("CARGO_PKG_VERSION")),
        format!("MODEL {}", made.model),
        format!("CHECKPOINT {}", made.checkpoint),
        format!("QUANTIZER {}", made.quantizer),
        "B-FACTORS ARE PLDDT, 0 (NO CONFIDENCE) TO 100".into(),
        format!("MEAN PLDDT OF CA {:.2}{ptm}{iptm}{cycle}", model.mean_plddt()),
    ];
    record(out, &format!("REMARK {FREE_TEXT:3}"))?;
    for line in &lines {
        for part in wrapped(&ascii(line), 68) {
            record(out, &format!("REMARK {FREE_TEXT:3} {part}"))?;
        }
    }
    let missing = model.residues().filter(|placed| placed.residue.atoms.is_empty());
    for (index, placed) in missing.enumerate() {
        if index == 0 {
            let head =
                ["", "MISSING RESIDUES", "RESIDUES OF UNKNOWN TYPE HAVE NO ATOMS", "", "  M RES C SSSEQI"];
            for line in head {
                record(out, &format!("REMARK {MISSING:3} {line}"))?;
            }
        }
        let (name, chain, number) = (placed.residue.kind.name(), chain_name(placed.chain), placed.number);
        record(out, &format!("REMARK {MISSING:3}     {name} {chain} {number:5}"))?;
    }
    Ok(())
}

/// The sequence of each chain.
fn seqres(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    for (index, chain) in model.chains.iter().enumerate() {
        let (name, length) = (chain_name(index), chain.residues.len());
        for (number, residues) in (1..).zip(chain.residues.chunks(IN_SEQRES)) {
            let names: Vec<&str> = residues.iter().map(|residue| residue.kind.name()).collect();
            record(out, &format!("SEQRES {number:3} {name} {length:4}  {}", names.join(" ")))?;
        }
    }
    Ok(())
}

/// The cell that the format wants where there is no crystal, and the coordinates in it.
fn no_crystal(out: &mut dyn Write) -> io::Result<()> {
    record(out, "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1")?;
    for matrix in ["ORIGX", "SCALE"] {
        for row in 1..=3 {
            let [x, y, z] = [1, 2, 3].map(|column| f64::from(u8::from(column == row)));
            record(out, &format!("{matrix}{row}    {x:10.6}{y:10.6}{z:10.6}     {:10.5}", 0.0))?;
        }
    }
    Ok(())
}

fn atoms(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let mut serial = 0;
    for (index, chain) in model.chains.iter().enumerate() {
        let name = chain_name(index);
        let mut last = None;
        for (number, residue) in (1..).zip(&chain.residues) {
            let place = format!("{} {name}{number:4}", residue.kind.name());
            for atom in &residue.atoms {
                serial += 1;
                record(out, &atom_record(serial, atom, &place))?;
            }
            if !residue.atoms.is_empty() {
                last = Some(place);
            }
        }
        if let Some(place) = last {
            serial += 1;
            record(out, &format!("TER   {serial:5}      {place}"))?;
        }
    }
    Ok(())
}

/// ASCII text in lines of at most `width` characters, broken at blanks where there are any.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text.trim());
    while rest.len() > width {
        let end = rest[..=width].rfind(' ').unwrap_or(width);
        lines.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    lines.push(rest);
    lines
}

/// An atom at `place`, which is residue name, chain and residue number.
fn atom_record(serial: usize, atom: &Atom, place: &str) -> String {
    let (name, element, [x, y, z]) = (atom.name, atom.element(), atom.position);
    // A name begins in the second of its four columns where the element's symbol has one letter.
    format!(
        "ATOM  {serial:5}  {name:<3} {place}    {x:8.3}{y:8.3}{z:8.3}{:6.2}{:6.2}          {element:>2}",
        1.0, atom.plddt
    )
}
