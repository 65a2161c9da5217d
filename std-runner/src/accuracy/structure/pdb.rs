//! Coordinates of PDB files.

use super::record::{AtomRecord, RecordFault, Records};

/// Reads the first model's ATOM and HETATM records; all else but the ends of chains and models is passed
/// over.
pub(super) fn records(bytes: &[u8]) -> Result<Records, RecordFault> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(bytes.split(|&b| b == b'\n' || b == b'\r')) {
        reader
            .line(line)
            .map_err(|reason| RecordFault { line: Some(line_number(bytes, line, number)), reason })?;
    }
    Ok(Records { atoms: reader.atoms, models: reader.models })
}

/// A line's number as editors count them: CR LF is one end.
fn line_number(bytes: &[u8], line: &[u8], counted: u64) -> u64 {
    let start = line.as_ptr() as usize - bytes.as_ptr() as usize;
    let pairs = bytes[..start].windows(2).filter(|pair| *pair == b"\r\n").count();
    counted - pairs as u64
}

#[derive(Default)]
struct Reader {
    atoms: Vec<AtomRecord>,
    models: usize,
    /// The model's end has been read: the next atom begins another one.
    ended: bool,
    /// Chains that a TER has ended, and how often each.
    terminated: Vec<String>,
    /// Part of each chain's name that tells parts with numbers of their own apart.
    part: usize,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        match line.get(..6.min(line.len())).unwrap_or_default().trim_ascii_end() {
            b"MODEL" | b"ENDMDL" | b"END" => self.ended = self.models > 0,
            b"TER" if self.models == 1 && !self.ended => {
                let chain = self.atoms.last().map(|atom| atom.chain.clone());
                self.terminated.extend(chain);
            }
            b"ATOM" | b"HETATM" => {
                if self.models == 0 || self.ended {
                    self.models += 1;
                    self.ended = false;
                }
                if self.models == 1 {
                    self.atom(line)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn atom(&mut self, line: &[u8]) -> Result<(), String> {
        let hetero = line.starts_with(b"HETATM");
        let chain = text(line, 22, 22);
        let (number, insertion) = (residue_number(line)?, text(line, 27, 27));
        let terminated = self.terminated.contains(&chain);
        // A chain that goes on behind its TER is another one if it has no name, or if its numbers begin anew.
        if terminated && !hetero {
            let last = self.atoms.iter().rev().find(|atom| atom.chain == chain && !atom.hetero);
            if chain.is_empty() || last.is_some_and(|atom| number <= atom.number) {
                self.part += 1;
            }
            self.terminated.retain(|name| *name != chain);
        }
        let coordinate =
            |from| float(line, from, from + 7)?.ok_or_else(|| blank(from, from + 7, "a coordinate"));
        self.atoms.push(AtomRecord {
            hetero,
            name: text(line, 13, 16),
            alternate: text(line, 17, 17),
            residue: text(line, 18, 20),
            label: None,
            part: self.part,
            number,
            insertion,
            sequence_number: None,
            position: [coordinate(31)?, coordinate(39)?, coordinate(47)?],
            occupancy: float(line, 55, 60)?.unwrap_or(1.0),
            b_factor: float(line, 61, 66)?.unwrap_or(0.0),
            polymer: None,
            terminated: terminated && hetero,
            chain,
        });
        Ok(())
    }
}

/// Columns `from` to `to`, as the format counts them: from 1.
fn columns(line: &[u8], from: usize, to: usize) -> &[u8] {
    let to = to.min(line.len());
    line.get(from - 1..to).unwrap_or_default().trim_ascii()
}

fn text(line: &[u8], from: usize, to: usize) -> String {
    String::from_utf8_lossy(columns(line, from, to)).into_owned()
}

fn blank(from: usize, to: usize, expected: &str) -> String {
    format!("columns {from} to {to} are blank; expected {expected}")
}

fn float(line: &[u8], from: usize, to: usize) -> Result<Option<f64>, String> {
    let text = text(line, from, to);
    if text.is_empty() {
        return Ok(None);
    }
    let value: Option<f64> = text.parse().ok().filter(|value: &f64| value.is_finite());
    value.map(Some).ok_or_else(|| format!("columns {from} to {to} are `{text}`; expected a number"))
}

/// The residue's number; beyond 9999 as programs of four digits in base 36 write it (hybrid-36).
fn residue_number(line: &[u8]) -> Result<isize, String> {
    let text = text(line, 23, 26);
    let decimal = || text.parse().ok();
    let hybrid = || {
        let upper = text.starts_with(|c: char| c.is_ascii_uppercase()) && text.len() == 4;
        let value = isize::from_str_radix(&text, 36).ok().filter(|_| upper)?;
        Some(value - 10 * 36isize.pow(3) + 10_000)
    };
    decimal().or_else(hybrid).ok_or_else(|| match text.as_str() {
        "" => blank(23, 26, "a residue number"),
        _ => format!("columns 23 to 26 are `{text}`; expected a residue number"),
    })
}
