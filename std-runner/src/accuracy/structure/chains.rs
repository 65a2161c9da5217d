//! From atoms to polypeptide chains: which residues count, and which of their alternatives.

use std::collections::HashMap;

use super::names::{is_water, modified, standard};
use super::record::AtomRecord;
use super::{Atom, Chain, Residue};

/// What a blank alternate location is called where it is one of several.
const BLANK: &str = " ";

const BACKBONE: [&str; 3] = ["N", "CA", "C"];

/// The chains in the file's order, each with the residues of its polymer in the order of the sequence.
pub(super) fn chains(atoms: Vec<AtomRecord>) -> Vec<Chain> {
    let mut chains: Vec<(Chain, (usize, usize))> = Vec::new();
    for residue in residues(atoms).into_iter().filter(Group::is_polymer) {
        let (first, terminated) = (residue.first(), residue.first().terminated);
        let (name, label) = (first.chain.clone(), first.label.clone());
        let part = (first.part, residue.copy);
        let same = |(chain, p): &&mut (Chain, (usize, usize))| {
            chain.name == name && chain.label == label && *p == part
        };
        let chain = match chains.iter_mut().find(same) {
            Some((chain, _)) => chain,
            None => &mut chains.push_mut((Chain { name, label, residues: Vec::new() }, part)).0,
        };
        let residue = residue.resolve();
        // HETATM records may stand behind the chain that they belong to.
        let behind = chain.residues.last().is_some_and(|last| residue.number < last.number);
        let place = if residue.hetero && (terminated || behind) {
            chain.residues.iter().position(|other| other.number > residue.number)
        } else {
            None
        };
        chain.residues.insert(place.unwrap_or(chain.residues.len()), residue);
    }
    chains.into_iter().map(|(chain, _)| chain).collect()
}

/// Atoms of one residue in all its alternatives.
struct Group {
    atoms: Vec<AtomRecord>,
    /// Of which copy of its chain it is, from 0.
    copy: usize,
}

/// The atoms by residues, in the order of their first atoms. Where a residue that others have followed begins
/// once more, another copy of its chain does: programs write those with the same name and numbers.
fn residues(atoms: Vec<AtomRecord>) -> Vec<Group> {
    type Part = (String, Option<String>, usize);
    type Key = (Part, usize, isize, String, Option<isize>, Option<String>);
    let mut places: HashMap<Key, usize> = HashMap::new();
    // The last residue of each chain and its copy.
    let mut last: HashMap<Part, (usize, usize)> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for atom in atoms.into_iter().filter(|atom| !is_water(&atom.residue)) {
        // Molecules that aren't a polymer's may share a number.
        let name = (atom.terminated || atom.polymer == Some(false)).then(|| atom.residue.clone());
        let part = (atom.chain.clone(), atom.label.clone(), atom.part);
        let (latest, mut copy) = last.get(&part).copied().unwrap_or((usize::MAX, 0));
        let key = |copy| {
            let (part, insertion) = (part.clone(), atom.insertion.clone());
            (part, copy, atom.number, insertion, atom.sequence_number, name.clone())
        };
        let of_chain = !atom.hetero || (!atom.terminated && modified(&atom.residue).is_some());
        let again = |place: &usize| *place != latest && groups[*place].repeats(&atom);
        if of_chain && places.get(&key(copy)).is_some_and(again) {
            copy += 1;
        }
        let place = *places.entry(key(copy)).or_insert(groups.len());
        last.insert(part, (place, copy));
        match groups.get_mut(place) {
            Some(group) => group.atoms.push(atom),
            None => groups.push(Group { atoms: vec![atom], copy }),
        }
    }
    groups
}

impl Group {
    fn first(&self) -> &AtomRecord {
        &self.atoms[0]
    }

    fn has(&self, name: &str) -> bool {
        self.atoms.iter().any(|atom| atom.name == name)
    }

    /// Does it have this atom already?
    fn repeats(&self, atom: &AtomRecord) -> bool {
        let same = |a: &AtomRecord| {
            a.name == atom.name && a.alternate == atom.alternate && a.residue == atom.residue
        };
        self.atoms.iter().any(same)
    }

    /// Is it a residue of a polymer, not a molecule beside it? ATOM records are; of HETATM records, what the
    /// format or the residue's name says, or that it has a backbone and stands before its chain's TER.
    fn is_polymer(&self) -> bool {
        let first = self.first();
        if let Some(polymer) = first.polymer {
            return polymer;
        }
        let hetero = self.atoms.iter().all(|atom| atom.hetero);
        let backbone = BACKBONE.iter().all(|name| self.has(name));
        if !hetero {
            true
        } else if first.terminated {
            // A free amino acid has an OXT.
            modified(&first.residue).is_some() && !self.has("OXT")
        } else {
            modified(&first.residue).is_some() || backbone
        }
    }

    /// Where an atom is there both with an alternate location and without, the latter is an alternative, too:
    /// it gets a name of its own.
    fn name_blank_alternatives(&mut self) {
        let labelled: Vec<String> =
            self.atoms.iter().filter(|a| !a.alternate.is_empty()).map(|a| a.name.clone()).collect();
        for atom in self.atoms.iter_mut().filter(|a| a.alternate.is_empty() && labelled.contains(&a.name)) {
            atom.alternate = BLANK.into();
        }
    }

    /// One alternative for the whole residue: that of the highest mean occupancy, the first of equals; atoms
    /// that it lacks come from the next ones, if those are the same amino acid.
    fn resolve(mut self) -> Residue {
        self.name_blank_alternatives();
        let mut alternatives: Vec<(&str, &str, f64, usize)> = Vec::new();
        for atom in &self.atoms {
            match alternatives.iter_mut().find(|(id, ..)| *id == atom.alternate) {
                Some((.., sum, count)) => (*sum, *count) = (*sum + atom.occupancy, *count + 1),
                None => alternatives.push((&atom.alternate, &atom.residue, atom.occupancy, 1)),
            }
        }
        let several = alternatives.len() - usize::from(alternatives.iter().any(|(id, ..)| id.is_empty())) > 1;
        let mean = |(_, _, sum, count): &(&str, &str, f64, usize)| sum / *count as f64;
        // Stable: the first of equals stays the first. What is in no alternative belongs to all.
        alternatives.sort_by(|a, b| b.0.is_empty().cmp(&a.0.is_empty()).then(mean(b).total_cmp(&mean(a))));
        let chosen = alternatives.iter().find(|(id, ..)| !id.is_empty()).or(alternatives.first());
        let name = chosen.map_or("", |(_, name, ..)| name).to_owned();
        let hetero = self.atoms.iter().any(|atom| atom.hetero);
        let letter = standard(&name).or_else(|| modified(&name)).unwrap_or(b'X');
        let mut atoms: Vec<Atom> = Vec::new();
        for (alternate, ..) in &alternatives {
            for atom in self.atoms.iter().filter(|a| a.alternate == **alternate && a.residue == name) {
                // Selenium takes sulfur's place.
                let known = if letter == b'M' && atom.name == "SE" { "SD" } else { &atom.name };
                if atoms.iter().all(|other| other.name != known) {
                    atoms.push(Atom { name: known.into(), position: atom.position, b_factor: atom.b_factor });
                }
            }
        }
        let first = self.first();
        let number = first.sequence_number.unwrap_or(first.number);
        let place = format!("{}{}", first.number, first.insertion);
        Residue { number, place, name, letter, hetero, several, atoms }
    }
}
