//! The chain of a structure that belongs to a sequence, and what of it is used.

use serde::Serialize;

use super::align::{self, Place};
use super::structure::{Chain, Residue, Structure, distance};

/// C-beta atoms nearer than this (in ångström) are a contact.
pub const CONTACT_DISTANCE: f64 = 8.0;

/// Which atoms a residue must have to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A CA.
    Ca,
    /// N, CA and C.
    Backbone,
}

impl Needs {
    fn are_met_by(self, residue: &Residue) -> bool {
        match self {
            Self::Ca => residue.position("CA").is_some(),
            Self::Backbone => residue.c_beta().is_some(),
        }
    }
}

/// A chain aligned to its sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment<'s> {
    /// The residues that are used with their positions, from 0, ascending.
    pub residues: Vec<(usize, &'s Residue)>,
    /// How the structure was read.
    pub reading: Reading,
}

/// How a structure was read, and what of it was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The chain, by its author's name.
    pub chain: String,
    /// The chain, by the archive's name, in mmCIF files.
    pub label_chain: Option<String>,
    /// All polypeptide chains of the file, by their authors' names.
    pub chains: Vec<String>,
    /// The chain that the sequence's identifier names, if that isn't this one.
    pub asked_for: Option<String>,
    /// Was the chain chosen by its sequence, among several?
    pub by_sequence: bool,
    /// How many models the file has; the first was read.
    pub models: usize,
    /// Residues with alternate locations, of which the best occupied one was read.
    pub alternates: Vec<String>,
    /// Modified residues that were read as their parents.
    pub modified: Vec<String>,
    /// Left out: residues that lack atoms of the backbone.
    pub incomplete: Vec<String>,
    /// Left out: residues where the sequence has another letter.
    pub different: Vec<String>,
    /// Left out: residues that align with none of the sequence.
    pub outside: Vec<String>,
}

/// Why a structure is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoTarget {
    /// The sequence is too long.
    #[error("{length} residues, more than {limit}")]
    TooLong {
        /// Its residues.
        length: usize,
        /// Most there may be.
        limit: usize,
    },
    /// Structure and sequence do not belong together, or too little is resolved.
    #[error(
        "{matched} of {resolved} resolved residues{} agree with the sequence (at least 90% and {least} are needed)",
        chain.as_ref().map(|name| format!(" of chain {name}, the nearest of {chains},")).unwrap_or_default()
    )]
    Mismatch {
        /// The chain that came nearest, if there are several.
        chain: Option<String>,
        /// How many chains there are.
        chains: usize,
        /// Residues that agree.
        matched: usize,
        /// Residues of the chain.
        resolved: usize,
        /// How many of them must agree.
        least: usize,
    },
}

impl<'s> Alignment<'s> {
    /// Aligns a structure's chain to a sequence, as [`align::align`] does. The chain is the one called
    /// `named` if it belongs to the sequence, otherwise the one that agrees with it in most residues (the
    /// first of equals). Residues that differ from the sequence, that it has no place for, or that lack what
    /// is needed, are left out.
    ///
    /// # Errors
    /// [`NoTarget::Mismatch`] if fewer than `least` of the chain's residues or than 90% agree.
    pub fn new(
        sequence: &[u8],
        structure: &'s Structure,
        named: Option<&str>,
        needs: Needs,
        least: usize,
    ) -> Result<Self, NoTarget> {
        let candidates: Vec<Candidate<'s>> =
            structure.chains.iter().map(|chain| Candidate::new(sequence, chain, needs)).collect();
        let candidates: Vec<_> = candidates.into_iter().filter(|c| !c.places.is_empty()).collect();
        let called = |name: &dyn Fn(&Chain) -> Option<&str>| {
            candidates.iter().find(|c| named.is_some() && name(c.chain) == named && c.fits(least))
        };
        let named_chain =
            called(&|chain| Some(&chain.name)).or_else(|| called(&|chain| chain.label.as_deref()));
        let nearest = || candidates.iter().rev().max_by_key(|c| c.matched());
        let Some(chosen) = named_chain.or_else(nearest) else {
            return Err(NoTarget::Mismatch { chain: None, chains: 0, matched: 0, resolved: 0, least });
        };
        if !chosen.fits(least) {
            let chain = (candidates.len() > 1).then(|| chosen.chain.name.clone());
            let (matched, resolved) = (chosen.matched(), chosen.places.len());
            return Err(NoTarget::Mismatch { chain, chains: candidates.len(), matched, resolved, least });
        }
        let reading = Reading {
            chains: candidates.iter().map(|c| c.chain.name.clone()).collect(),
            asked_for: named.filter(|_| named_chain.is_none()).map(str::to_owned),
            by_sequence: named_chain.is_none() && candidates.len() > 1,
            models: structure.models,
            ..chosen.reading(sequence)
        };
        let used = chosen.places.iter().filter_map(|&(residue, place)| match place {
            Place::At(position) => Some((position, residue)),
            Place::Differs(_) | Place::Outside => None,
        });
        Ok(Self { residues: used.collect(), reading })
    }
}

/// A chain that may be the one.
struct Candidate<'s> {
    chain: &'s Chain,
    /// The residues that have what is needed.
    places: Vec<(&'s Residue, Place)>,
    needs: Needs,
}

impl<'s> Candidate<'s> {
    fn new(sequence: &[u8], chain: &'s Chain, needs: Needs) -> Self {
        let residues: Vec<&Residue> = chain.residues.iter().filter(|r| needs.are_met_by(r)).collect();
        let keys: Vec<(isize, u8)> = residues.iter().map(|r| (r.number, r.letter)).collect();
        Self { chain, places: residues.into_iter().zip(align::align(sequence, &keys)).collect(), needs }
    }

    fn matched(&self) -> usize {
        self.places.iter().filter(|(_, place)| matches!(place, Place::At(_))).count()
    }

    fn fits(&self, least: usize) -> bool {
        let matched = self.matched();
        matched >= least && matched * 10 >= self.places.len() * 9
    }

    /// What is said about the residues.
    fn reading(&self, sequence: &[u8]) -> Reading {
        let mut reading = Reading {
            chain: self.chain.name.clone(),
            label_chain: self.chain.label.clone(),
            ..Reading::default()
        };
        let incomplete = self.chain.residues.iter().filter(|residue| !self.needs.are_met_by(residue));
        reading.incomplete = incomplete.map(ToString::to_string).collect();
        for (residue, place) in &self.places {
            match *place {
                Place::At(_) => {
                    if residue.several {
                        reading.alternates.push(residue.to_string());
                    }
                    if residue.is_modified() {
                        reading.modified.push(residue.to_string());
                    }
                }
                Place::Differs(position) => {
                    let letter = char::from(sequence[position]);
                    reading.different.push(format!("{residue} ({letter} in the sequence)"));
                }
                Place::Outside => reading.outside.push(residue.to_string()),
            }
        }
        reading
    }
}

impl Reading {
    /// How many residues were left out.
    pub fn left_out(&self) -> usize {
        self.incomplete.len() + self.different.len() + self.outside.len()
    }

    /// What was chosen, in words; nothing where there was no choice.
    pub fn choices(&self) -> Option<String> {
        let mut said = Vec::new();
        let chain = || match (&*self.chain, &self.label_chain) {
            ("", _) => "its first chain".to_owned(),
            (name, Some(label)) if label != name => format!("chain {name} (label {label})"),
            (name, _) => format!("chain {name}"),
        };
        let asked_for = self.asked_for.as_ref().map(|name| format!("; no chain {name} fits"));
        if self.by_sequence {
            let (all, asked_for) = (self.chains.join(", "), asked_for.unwrap_or_default());
            said.push(format!("{} of {all}, by its sequence{asked_for}", chain()));
        } else if let Some(asked_for) = asked_for.filter(|_| !self.chain.is_empty()) {
            said.push(format!("{}{asked_for}", chain()));
        }
        if self.models > 1 {
            said.push(format!("the first of {} models", self.models));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// What was left out, in words; nothing where nothing was.
    pub fn losses(&self) -> Option<String> {
        let one = |residues: &[String], what: &str| {
            (!residues.is_empty()).then(|| format!("{} {what}: {}", residues.len(), first(residues)))
        };
        let said = [
            one(&self.incomplete, "without the backbone's atoms"),
            one(&self.different, "where the sequence differs"),
            one(&self.outside, "that the sequence has no place for"),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| format!("residues left out: {}", said.join("; ")))
    }
}

/// The first few of a list.
pub fn first(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - rest].join(", ");
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

/// The resolved residues of a target and their contacts.
#[derive(Clone, Debug)]
pub struct Target {
    /// Places of the resolved residues in the sequence, from 0, ascending.
    pub positions: Vec<usize>,
    /// For each pair of [`positions`](Self::positions), row-major: are they in contact?
    pub contacts: Vec<bool>,
}

impl Target {
    /// The contacts of residues that have a backbone; others are passed over.
    pub fn new(residues: &[(usize, &Residue)]) -> Self {
        let places: Vec<_> =
            residues.iter().filter_map(|&(p, residue)| Some((p, residue.c_beta()?))).collect();
        let near = |a, b| distance(a, b) < CONTACT_DISTANCE;
        let contacts = places.iter().flat_map(|&(_, a)| places.iter().map(move |&(_, b)| near(a, b)));
        Self { positions: places.iter().map(|&(p, _)| p).collect(), contacts: contacts.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::structure::Atom;
    use super::*;

    const SEQUENCE: &[u8] = b"MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG";

    /// A straight chain, residues `spacing` ångström apart, its virtual C-betas on the line.
    fn chain(name: &str, sequence: &[u8], spacing: f64) -> Chain {
        let residue = |(i, &letter): (usize, &u8)| {
            let atom = |(name, x): (&str, f64)| Atom {
                name: name.into(),
                position: [i as f64 * spacing + x, 0.0, 0.0],
                b_factor: 0.0,
            };
            let (number, place) = (i as isize + 1, (i + 1).to_string());
            let atoms = [("N", 0.0), ("CA", 0.0), ("C", 0.0)].into_iter().map(atom).collect();
            Residue { number, place, name: "ALA".into(), letter, hetero: false, several: false, atoms }
        };
        let residues = sequence.iter().enumerate().map(residue).collect();
        Chain { name: name.into(), label: None, residues }
    }

    fn structure(chains: Vec<Chain>) -> Structure {
        Structure { chains, models: 1 }
    }

    fn aligned<'s>(structure: &'s Structure, named: Option<&str>) -> Result<Alignment<'s>, NoTarget> {
        Alignment::new(SEQUENCE, structure, named, Needs::Backbone, 40)
    }

    #[test]
    fn contacts_are_nearer_than_eight() {
        for (spacing, expected) in [(3.8, [true, true, true, false]), (4.0, [true, true, false, false])] {
            let structure = structure(vec![chain("A", SEQUENCE, spacing)]);
            let target = Target::new(&aligned(&structure, None).expect("a target").residues);
            assert_eq!((target.positions.len(), &target.contacts[..4]), (SEQUENCE.len(), &expected[..]));
        }
    }

    #[test]
    fn what_is_no_target() {
        let other: Vec<u8> = SEQUENCE.iter().rev().copied().collect();
        let wrong = structure(vec![chain("A", &other, 3.8)]);
        assert!(matches!(aligned(&wrong, None), Err(NoTarget::Mismatch { chain: None, .. })));
        let short = structure(vec![chain("A", &SEQUENCE[..39], 3.8)]);
        let mismatch = NoTarget::Mismatch { chain: None, chains: 1, matched: 39, resolved: 39, least: 40 };
        assert_eq!(aligned(&short, None), Err(mismatch));
        assert!(Alignment::new(SEQUENCE, &short, None, Needs::Backbone, 39).is_ok());
        let several = structure(vec![chain("A", &other, 3.8), chain("B", &SEQUENCE[..39], 3.8)]);
        let error = aligned(&several, None).expect_err("too short").to_string();
        assert!(
            error.starts_with("39 of 39 resolved residues of chain B, the nearest of 2, agree"),
            "{error}"
        );
        assert!(aligned(&structure(vec![]), None).is_err());
    }

    #[test]
    fn the_chain_is_the_named_one_or_the_best() {
        let other: Vec<u8> = SEQUENCE.iter().rev().copied().collect();
        let mut second = chain("C", SEQUENCE, 3.8);
        second.label = Some("X".into());
        let chains = vec![
            chain("A", &other, 3.8),
            chain("B", &SEQUENCE[..50], 3.8),
            second,
            chain("D", SEQUENCE, 3.8),
        ];
        let structure = structure(chains);
        let of = |named| {
            let reading = aligned(&structure, named).expect("a target").reading;
            (reading.chain.clone(), reading.choices())
        };
        assert_eq!(of(Some("D")), ("D".into(), None));
        assert_eq!(of(Some("B")), ("B".into(), None));
        assert_eq!(of(Some("X")), ("C".into(), None));
        assert_eq!(of(None), ("C".into(), Some("chain C (label X) of A, B, C, D, by its sequence".into())));
        let said = "chain C (label X) of A, B, C, D, by its sequence; no chain A fits".to_owned();
        assert_eq!(of(Some("A")), ("C".into(), Some(said)));
    }

    #[test]
    fn an_only_chain_of_another_name_and_models_are_said() {
        let mut one = structure(vec![chain("A", SEQUENCE, 3.8)]);
        one.models = 20;
        let said = |named| aligned(&one, named).expect("a target").reading.choices();
        assert_eq!(said(Some("A")).as_deref(), Some("the first of 20 models"));
        assert_eq!(said(Some("B")).as_deref(), Some("chain A; no chain B fits; the first of 20 models"));
    }

    #[test]
    fn what_is_left_out_is_listed() {
        let mut chain = chain("A", &[SEQUENCE, b"LEHHHHH"].concat(), 3.8);
        chain.residues[3].atoms.pop();
        chain.residues[9].letter = b'W';
        chain.residues[20].several = true;
        chain.residues[21].name = "TPO".into();
        let structure = structure(vec![chain]);
        let target = aligned(&structure, None).expect("a target");
        assert_eq!(target.residues.len(), SEQUENCE.len() - 2);
        let reading = &target.reading;
        assert_eq!(reading.incomplete, ["ALA 4"]);
        assert_eq!(reading.different, ["ALA 10 (G in the sequence)"]);
        assert_eq!((reading.outside.len(), &*reading.outside[0], reading.left_out()), (7, "ALA 77", 9));
        assert_eq!(
            (&*reading.alternates, &*reading.modified),
            (&["ALA 21".to_owned()][..], &["TPO 22".to_owned()][..])
        );
        let said = "residues left out: 1 without the backbone's atoms: ALA 4; 1 where the sequence differs: ALA 10 (G in the \
                    sequence); 7 that the sequence has no place for: ALA 77, ALA 78, ALA 79, ALA 80, ALA 81 and 2 more";
        assert_eq!(reading.losses().as_deref(), Some(said));
        // A CA is enough for a fold.
        let fold = Alignment::new(SEQUENCE, &structure, None, Needs::Ca, 10).expect("a target");
        assert_eq!((fold.residues.len(), fold.reading.incomplete.len()), (SEQUENCE.len() - 1, 0));
    }
}
