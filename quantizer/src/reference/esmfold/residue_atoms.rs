//! Idealised geometry of the amino acids.
//!
//! Source: the rigid groups of AlphaFold (Jumper et al. 2021, supplement, table 2; `residue_constants.py`), which both
//! OpenFold and `transformers` use. Atoms are listed in the order of the `atom14` layout. Group 0 is the backbone, 3 turns
//! with psi, 4 to 7 with chi1 to chi4; positions are in angstroms in the frame of the atom's group.

/// An amino acid.
pub struct ResidueAtoms {
    /// One letter.
    pub letter: u8,
    /// Three letters.
    pub name: &'static str,
    /// Its heavy atoms, at most 14.
    pub atoms: &'static [Atom],
    /// The last of the four atoms of each chi angle that it has. It lies on the axis of the next chi angle.
    pub chi: &'static [&'static str],
}

/// An atom of an amino acid.
pub struct Atom {
    /// As in the PDB.
    pub name: &'static str,
    /// The rigid group it moves with, 0 to 7.
    pub group: usize,
    /// Where it is in the frame of the group, in angstroms.
    pub position: [f64; 3],
}

const fn atom(name: &'static str, group: usize, position: [f64; 3]) -> Atom {
    Atom { name, group, position }
}

/// The atom types of the `atom37` layout, in order.
pub const ATOM_TYPES: [&str; 37] = [
    "N", "CA", "C", "CB", "O", "CG", "CG1", "CG2", "OG", "OG1", "SG", "CD", "CD1", "CD2", "ND1", "ND2",
    "OD1", "OD2", "SD", "CE", "CE1", "CE2", "CE3", "NE", "NE1", "NE2", "OE1", "OE2", "CH2", "NH1", "NH2",
    "OH", "CZ", "CZ2", "CZ3", "NZ", "OXT",
];

/// The 20 amino acids in AlphaFold's order, which is that of their names.
pub const AMINO_ACIDS: [ResidueAtoms; 20] = [
    ResidueAtoms {
        letter: b'A',
        name: "ALA",
        atoms: &[
            atom("N", 0, [-0.525, 1.363, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.627, 1.062, 0.0]),
            atom("CB", 0, [-0.529, -0.774, -1.205]),
        ],
        chi: &[],
    },
    ResidueAtoms {
        letter: b'R',
        name: "ARG",
        atoms: &[
            atom("N", 0, [-0.524, 1.362, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.524, -0.778, -1.209]),
            atom("CG", 4, [0.616, 1.39, 0.0]),
            atom("CD", 5, [0.564, 1.414, 0.0]),
            atom("NE", 6, [0.539, 1.357, 0.0]),
            atom("CZ", 7, [0.758, 1.093, 0.0]),
            atom("NH1", 7, [0.206, 2.301, 0.0]),
            atom("NH2", 7, [2.078, 0.978, 0.0]),
        ],
        chi: &["CG", "CD", "NE", "CZ"],
    },
    ResidueAtoms {
        letter: b'N',
        name: "ASN",
        atoms: &[
            atom("N", 0, [-0.536, 1.357, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.625, 1.062, 0.0]),
            atom("CB", 0, [-0.531, -0.787, -1.2]),
            atom("CG", 4, [0.584, 1.399, 0.0]),
            atom("OD1", 5, [0.633, 1.059, 0.0]),
            atom("ND2", 5, [0.593, -1.188, 0.001]),
        ],
        chi: &["CG", "OD1"],
    },
    ResidueAtoms {
        letter: b'D',
        name: "ASP",
        atoms: &[
            atom("N", 0, [-0.525, 1.362, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.527, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.526, -0.778, -1.208]),
            atom("CG", 4, [0.593, 1.398, 0.0]),
            atom("OD1", 5, [0.61, 1.091, 0.0]),
            atom("OD2", 5, [0.592, -1.101, -0.003]),
        ],
        chi: &["CG", "OD1"],
    },
    ResidueAtoms {
        letter: b'C',
        name: "CYS",
        atoms: &[
            atom("N", 0, [-0.522, 1.362, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.524, 0.0, 0.0]),
            atom("O", 3, [0.625, 1.062, 0.0]),
            atom("CB", 0, [-0.519, -0.773, -1.212]),
            atom("SG", 4, [0.728, 1.653, 0.0]),
        ],
        chi: &["SG"],
    },
    ResidueAtoms {
        letter: b'Q',
        name: "GLN",
        atoms: &[
            atom("N", 0, [-0.526, 1.361, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.525, -0.779, -1.207]),
            atom("CG", 4, [0.615, 1.393, 0.0]),
            atom("CD", 5, [0.587, 1.399, 0.0]),
            atom("OE1", 6, [0.634, 1.06, 0.0]),
            atom("NE2", 6, [0.593, -1.189, -0.001]),
        ],
        chi: &["CG", "CD", "OE1"],
    },
    ResidueAtoms {
        letter: b'E',
        name: "GLU",
        atoms: &[
            atom("N", 0, [-0.528, 1.361, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.526, -0.781, -1.207]),
            atom("CG", 4, [0.615, 1.392, 0.0]),
            atom("CD", 5, [0.6, 1.397, 0.0]),
            atom("OE1", 6, [0.607, 1.095, 0.0]),
            atom("OE2", 6, [0.589, -1.104, -0.001]),
        ],
        chi: &["CG", "CD", "OE1"],
    },
    ResidueAtoms {
        letter: b'G',
        name: "GLY",
        atoms: &[
            atom("N", 0, [-0.572, 1.337, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.517, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
        ],
        chi: &[],
    },
    ResidueAtoms {
        letter: b'H',
        name: "HIS",
        atoms: &[
            atom("N", 0, [-0.527, 1.36, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.625, 1.063, 0.0]),
            atom("CB", 0, [-0.525, -0.778, -1.208]),
            atom("CG", 4, [0.6, 1.37, 0.0]),
            atom("ND1", 5, [0.744, 1.16, 0.0]),
            atom("CD2", 5, [0.889, -1.021, 0.003]),
            atom("CE1", 5, [2.03, 0.851, 0.002]),
            atom("NE2", 5, [2.145, -0.466, 0.004]),
        ],
        chi: &["CG", "ND1"],
    },
    ResidueAtoms {
        letter: b'I',
        name: "ILE",
        atoms: &[
            atom("N", 0, [-0.493, 1.373, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.527, 0.0, 0.0]),
            atom("O", 3, [0.627, 1.062, 0.0]),
            atom("CB", 0, [-0.536, -0.793, -1.213]),
            atom("CG1", 4, [0.534, 1.437, 0.0]),
            atom("CG2", 4, [0.54, -0.785, -1.199]),
            atom("CD1", 5, [0.619, 1.391, 0.0]),
        ],
        chi: &["CG1", "CD1"],
    },
    ResidueAtoms {
        letter: b'L',
        name: "LEU",
        atoms: &[
            atom("N", 0, [-0.52, 1.363, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.625, 1.063, 0.0]),
            atom("CB", 0, [-0.522, -0.773, -1.214]),
            atom("CG", 4, [0.678, 1.371, 0.0]),
            atom("CD1", 5, [0.53, 1.43, 0.0]),
            atom("CD2", 5, [0.535, -0.774, 1.2]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'K',
        name: "LYS",
        atoms: &[
            atom("N", 0, [-0.526, 1.362, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.524, -0.778, -1.208]),
            atom("CG", 4, [0.619, 1.39, 0.0]),
            atom("CD", 5, [0.559, 1.417, 0.0]),
            atom("CE", 6, [0.56, 1.416, 0.0]),
            atom("NZ", 7, [0.554, 1.387, 0.0]),
        ],
        chi: &["CG", "CD", "CE", "NZ"],
    },
    ResidueAtoms {
        letter: b'M',
        name: "MET",
        atoms: &[
            atom("N", 0, [-0.521, 1.364, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.625, 1.062, 0.0]),
            atom("CB", 0, [-0.523, -0.776, -1.21]),
            atom("CG", 4, [0.613, 1.391, 0.0]),
            atom("SD", 5, [0.703, 1.695, 0.0]),
            atom("CE", 6, [0.32, 1.786, 0.0]),
        ],
        chi: &["CG", "SD", "CE"],
    },
    ResidueAtoms {
        letter: b'F',
        name: "PHE",
        atoms: &[
            atom("N", 0, [-0.518, 1.363, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.524, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.525, -0.776, -1.212]),
            atom("CG", 4, [0.607, 1.377, 0.0]),
            atom("CD1", 5, [0.709, 1.195, 0.0]),
            atom("CD2", 5, [0.706, -1.196, 0.0]),
            atom("CE1", 5, [2.102, 1.198, 0.0]),
            atom("CE2", 5, [2.098, -1.201, 0.0]),
            atom("CZ", 5, [2.794, -0.003, -0.001]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'P',
        name: "PRO",
        atoms: &[
            atom("N", 0, [-0.566, 1.351, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.527, 0.0, 0.0]),
            atom("O", 3, [0.621, 1.066, 0.0]),
            atom("CB", 0, [-0.546, -0.611, -1.293]),
            atom("CG", 4, [0.382, 1.445, 0.0]),
            atom("CD", 5, [0.477, 1.424, 0.0]),
        ],
        chi: &["CG", "CD"],
    },
    ResidueAtoms {
        letter: b'S',
        name: "SER",
        atoms: &[
            atom("N", 0, [-0.529, 1.36, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.518, -0.777, -1.211]),
            atom("OG", 4, [0.503, 1.325, 0.0]),
        ],
        chi: &["OG"],
    },
    ResidueAtoms {
        letter: b'T',
        name: "THR",
        atoms: &[
            atom("N", 0, [-0.517, 1.364, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.526, 0.0, 0.0]),
            atom("O", 3, [0.626, 1.062, 0.0]),
            atom("CB", 0, [-0.516, -0.793, -1.215]),
            atom("OG1", 4, [0.472, 1.353, 0.0]),
            atom("CG2", 4, [0.55, -0.718, -1.228]),
        ],
        chi: &["OG1"],
    },
    ResidueAtoms {
        letter: b'W',
        name: "TRP",
        atoms: &[
            atom("N", 0, [-0.521, 1.363, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.525, 0.0, 0.0]),
            atom("O", 3, [0.627, 1.062, 0.0]),
            atom("CB", 0, [-0.523, -0.776, -1.212]),
            atom("CG", 4, [0.609, 1.37, 0.0]),
            atom("CD1", 5, [0.824, 1.091, 0.0]),
            atom("CD2", 5, [0.854, -1.148, -0.005]),
            atom("NE1", 5, [2.14, 0.69, -0.004]),
            atom("CE2", 5, [2.186, -0.678, -0.007]),
            atom("CE3", 5, [0.622, -2.53, -0.007]),
            atom("CZ2", 5, [3.283, -1.543, -0.011]),
            atom("CZ3", 5, [1.715, -3.389, -0.011]),
            atom("CH2", 5, [3.028, -2.89, -0.013]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'Y',
        name: "TYR",
        atoms: &[
            atom("N", 0, [-0.522, 1.362, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.524, 0.0, 0.0]),
            atom("O", 3, [0.627, 1.062, 0.0]),
            atom("CB", 0, [-0.522, -0.776, -1.213]),
            atom("CG", 4, [0.607, 1.382, 0.0]),
            atom("CD1", 5, [0.716, 1.195, 0.0]),
            atom("CD2", 5, [0.713, -1.194, -0.001]),
            atom("CE1", 5, [2.107, 1.2, -0.002]),
            atom("CE2", 5, [2.104, -1.201, -0.003]),
            atom("CZ", 5, [2.791, -0.001, -0.003]),
            atom("OH", 5, [4.168, -0.002, -0.005]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'V',
        name: "VAL",
        atoms: &[
            atom("N", 0, [-0.494, 1.373, 0.0]),
            atom("CA", 0, [0.0, 0.0, 0.0]),
            atom("C", 0, [1.527, 0.0, 0.0]),
            atom("O", 3, [0.627, 1.062, 0.0]),
            atom("CB", 0, [-0.533, -0.795, -1.213]),
            atom("CG1", 4, [0.54, 1.429, 0.0]),
            atom("CG2", 4, [0.533, -0.776, 1.203]),
        ],
        chi: &["CG1"],
    },
];
