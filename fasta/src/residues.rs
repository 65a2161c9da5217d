//! The lines of one record, checked letter by letter as they come.

use crate::error::{Found, RecordProblem};
use crate::place::Spot;
use crate::text::{first_char, is_blank};

/// The letter of a masked residue.
pub const MASK: u8 = b'_';
/// How a mask can be written too, in any case.
const MASK_TOKEN: &[u8] = b"<MASK>";
/// Chains of this many letters, all of them nucleotides', are suspected to be DNA or RNA.
const NUCLEOTIDES: usize = 20;

/// Codes of three letters, as in SEQRES records; MSE for selenomethionine.
const THREE_LETTER_CODES: [&[u8; 3]; 22] = [
    b"ALA", b"ARG", b"ASN", b"ASP", b"CYS", b"GLN", b"GLU", b"GLY", b"HIS", b"ILE", b"LEU", b"LYS", b"MET",
    b"PHE", b"PRO", b"SER", b"THR", b"TRP", b"TYR", b"VAL", b"MSE", b"UNK",
];
/// So many codes, and so many different ones, are no sequence of single letters.
const CODES: usize = 4;
const DIFFERENT_CODES: u32 = 3;

/// What is in the lines of a record.
#[derive(Debug, Default)]
pub(crate) struct CleanSequence {
    /// Residues of all chains, upper-case, or [`MASK`].
    pub residues: Vec<u8>,
    /// How many residues each chain has; at least one chain, and none of them empty.
    pub chains: Vec<usize>,
    /// Places in `residues` and letters of those that were read as X.
    pub rare: Vec<(usize, u8)>,
    /// Where the first mask is.
    pub mask: Option<Spot>,
    /// The first chain, from 1, that looks like DNA or RNA.
    pub nucleotides: Option<usize>,
}

/// What is wrong with a record, and where if not at its header.
pub(crate) type Problem = (Option<Spot>, RecordProblem);

/// Checks the lines. `:` or `/` ends a chain and begins the next one; `*` may end a chain.
#[derive(Debug)]
pub(crate) struct Cleaner {
    /// Longer sequences are refused; what is beyond is counted, but not kept.
    max_len: usize,
    length: usize,
    ends: Vec<usize>,
    /// Where a `*` was that has ended the chain.
    stop: Option<Spot>,
    /// Where the last separator of chains was.
    separator: Option<Spot>,
    /// Where a mask began, and how many bytes of [`MASK_TOKEN`] are there.
    token: Option<(Spot, usize)>,
    /// A bit for each letter of this chain.
    letters: u32,
    codes: Codes,
    cleaned: CleanSequence,
    problem: Option<Problem>,
}

impl Cleaner {
    pub fn new(max_len: usize) -> Self {
        Self {
            max_len,
            length: 0,
            ends: Vec::new(),
            stop: None,
            separator: None,
            token: None,
            letters: 0,
            codes: Codes::default(),
            cleaned: CleanSequence::default(),
            problem: None,
        }
    }

    /// Notes what is wrong, unless something is already.
    pub fn fail(&mut self, spot: Option<Spot>, problem: RecordProblem) {
        self.problem.get_or_insert((spot, problem));
    }

    /// Whether a `>` at the beginning of the next line may be the end of `<mask>`.
    pub fn awaits_bracket(&self) -> bool {
        self.problem.is_none() && self.token.is_some_and(|(_, seen)| seen + 1 == MASK_TOKEN.len())
    }

    /// Whether a `*` has ended the last chain; also of a record with a problem.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether nothing was found yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0 && self.problem.is_none() && self.stop.is_none() && self.token.is_none()
    }

    /// Takes a line.
    pub fn push(&mut self, number: u64, line: &[u8]) {
        let mut place = 0;
        while let Some(&byte) = line.get(place) {
            if self.problem.is_some() {
                // What follows is no residue, but a `*` still ends it.
                if let Some(last) = line.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
                    let spot = Spot { line: number, column: last + 1 };
                    self.stop = (line[last] == b'*').then_some(spot);
                }
                return;
            }
            let spot = Spot { line: number, column: place + 1 };
            if byte.is_ascii() {
                if !byte.is_ascii_whitespace() && byte != 0x0b {
                    self.letter(spot, byte);
                }
                place += 1;
                continue;
            }
            match first_char(&line[place..]) {
                Some(c) if is_blank(c) => place += c.len_utf8(),
                _ => self.fail(Some(spot), RecordProblem::BadCharacter(Found::first(&line[place..]))),
            }
        }
    }

    fn letter(&mut self, spot: Spot, byte: u8) {
        let letter = byte.to_ascii_uppercase();
        if let Some((begin, seen)) = self.token {
            let next = MASK_TOKEN[seen];
            if letter != next {
                return self.fail(Some(begin), RecordProblem::BadCharacter(Found::Char('<')));
            }
            self.token = (seen + 1 < MASK_TOKEN.len()).then_some((begin, seen + 1));
            if self.token.is_none() {
                self.residue(begin, MASK);
            }
            return;
        }
        if matches!(letter, b':' | b'/') {
            return self.separate(spot);
        }
        if let Some(stop) = self.stop {
            return self.fail(Some(stop), RecordProblem::InnerStop);
        }
        match letter {
            b'*' => self.stop = Some(spot),
            b'<' => self.token = Some((spot, 1)),
            b'A'..=b'Z' | MASK => self.residue(spot, letter),
            b'-' | b'.' => self.fail(Some(spot), RecordProblem::Gap(char::from(letter))),
            b'>' => self.fail(Some(spot), RecordProblem::HeaderInside),
            _ => self.fail(Some(spot), RecordProblem::BadCharacter(Found::Char(char::from(byte)))),
        }
    }

    fn residue(&mut self, spot: Spot, letter: u8) {
        self.length += 1;
        // Letters and the mask are less than 32 apart.
        self.letters |= 1 << (letter - b'A');
        self.codes.add(letter);
        let cleaned = &mut self.cleaned;
        let rare = matches!(letter, b'B' | b'Z' | b'U' | b'O' | b'J');
        if letter == MASK {
            cleaned.mask.get_or_insert(spot);
        }
        if self.length <= self.max_len {
            if rare {
                cleaned.rare.push((cleaned.residues.len(), letter));
            }
            cleaned.residues.push(if rare { b'X' } else { letter });
        }
    }

    /// Residues of the chains that have ended.
    fn ended(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn separate(&mut self, spot: Spot) {
        if self.length == self.ended() {
            let chain = self.ends.len() + 1;
            return self.fail(Some(spot), RecordProblem::EmptyChain { chain });
        }
        self.end_chain();
        (self.stop, self.separator) = (None, Some(spot));
    }

    fn end_chain(&mut self) {
        let length = self.length - self.ended();
        let bits = |letters: &[u8]| letters.iter().fold(0, |bits, letter| bits | 1_u32 << (letter - b'A'));
        let only = self.letters & !bits(b"ACGTUN") == 0;
        let several = (self.letters & bits(b"ACGTU")).count_ones() >= 3;
        self.ends.push(self.length);
        let chain = self.ends.len();
        if only && several && length >= NUCLEOTIDES {
            self.cleaned.nucleotides.get_or_insert(chain);
        }
        if std::mem::take(&mut self.codes).are_all(length) {
            self.fail(None, RecordProblem::ThreeLetterCodes { chain });
        }
        self.letters = 0;
    }

    /// What all the lines are.
    pub fn finish(mut self) -> Result<CleanSequence, Problem> {
        if let Some((begin, _)) = self.token {
            self.fail(Some(begin), RecordProblem::BadCharacter(Found::Char('<')));
        }
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.length == self.ended() {
            let chain = self.ends.len() + 1;
            return Err(match self.separator {
                Some(spot) => (Some(spot), RecordProblem::EmptyChain { chain }),
                None => (None, RecordProblem::EmptySequence),
            });
        }
        let (length, max_len) = (self.length, self.max_len);
        if length > max_len {
            return Err((None, RecordProblem::TooLong { length, max_len }));
        }
        self.end_chain();
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.cleaned.chains = starts.zip(&self.ends).map(|(start, end)| end - start).collect();
        Ok(self.cleaned)
    }
}

/// The letters of a chain as codes of three letters.
#[derive(Debug, Default)]
struct Codes {
    begun: Vec<u8>,
    count: usize,
    /// A bit for each of [`THREE_LETTER_CODES`] that was there.
    different: u32,
}

impl Codes {
    fn add(&mut self, letter: u8) {
        self.begun.push(letter);
        if self.begun.len() == 3 {
            if let Some(place) = THREE_LETTER_CODES.iter().position(|code| code[..] == self.begun) {
                self.count += 1;
                self.different |= 1 << place;
            }
            self.begun.clear();
        }
    }

    /// Whether all `length` letters are codes, and no residues.
    fn are_all(&self, length: usize) -> bool {
        length == 3 * self.count && self.count >= CODES && self.different.count_ones() >= DIFFERENT_CODES
    }
}
