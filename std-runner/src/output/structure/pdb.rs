//! PDB files, format 3.3.

use std::io::{self, Write};

use super::model::{Atom, Model, ascii};

/// Names of chains: one character.
const CHAINS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Largest serial number of an atom or TER record.
const MAX_SERIAL: usize = 99_999;
/// Largest residue number.
const MAX_NUMBER: usize = 9_999;
/// Coordinates that have room in 8 columns with three decimals.
const COORDINATES: std::ops::Range<f64> = -999.9995..9999.9995;
/// The remark for what is no experiment of a kind that has a remark of its own.
const REMARK: u32 = 250;

/// What a PDB file has no room for.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PdbLimit {
    /// Too many chains.
    #[error("{0} chains; a PDB file holds at most {max}: use --format cif", max = CHAINS.len())]
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

/// Whether chains of these residues and atoms have room in a PDB file; all but the coordinates is known before folding.
///
/// # Errors
/// [`PdbLimit`] with the number that is too large.
pub fn fits_pdb(chains: &[usize], atoms: usize) -> Result<(), PdbLimit> {
    if chains.len() > CHAINS.len() {
        return Err(PdbLimit::Chains(chains.len()));
    }
    if let Some(&residues) = chains.iter().find(|&&residues| residues > MAX_NUMBER) {
        return Err(PdbLimit::Residues(residues));
    }
    let serials = atoms + chains.len();
    if serials > MAX_SERIAL { Err(PdbLimit::Serials(serials)) } else { Ok(()) }
}

/// Writes a PDB file. The B-factor column holds the pLDDT, 0 to 100. Residues without atoms (X) leave
/// a gap in the numbers.
///
/// # Errors
/// The writer's, or a [`PdbLimit`] as [`io::ErrorKind::InvalidInput`].
pub fn pdb(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    check(model).map_err(|limit| io::Error::new(io::ErrorKind::InvalidInput, limit))?;
    record(out, "HEADER    PREDICTED STRUCTURE")?;
    title(out, &format!("PREDICTED STRUCTURE OF {}", ascii(&model.id)))?;
    record(out, &format!("REMARK {REMARK:3}"))?;
    for remark in &model.remarks {
        for part in parts(&ascii(remark), 68) {
            record(out, &format!("REMARK {REMARK:3} {part}"))?;
        }
    }
    let mut serial = 0;
    for (chain, &name) in model.chains.iter().zip(CHAINS) {
        let mut last = None;
        for (number, residue) in (1..).zip(&chain.residues) {
            let place = format!("{} {}{number:4}", residue.kind.name(), char::from(name));
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

/// TITLE, with continuation records where it is long.
fn title(out: &mut dyn Write, text: &str) -> io::Result<()> {
    for (number, part) in (1..=99).zip(parts(text, 69)) {
        if number == 1 {
            record(out, &format!("TITLE     {part}"))?;
        } else {
            record(out, &format!("TITLE   {number:2} {part}"))?;
        }
    }
    Ok(())
}

/// ASCII text in pieces of at most `width` characters.
fn parts(text: &str, width: usize) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(width).map(move |at| &text[at..text.len().min(at + width)])
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
