//! Idealised geometry of the amino acids.
//!
//! Source: the rigid groups of AlphaFold (Jumper et al. 2021, supplement, table 2; `residue_constants.py`),
//! whose positions have three decimals: whole thousandths of an angstrom.

/// An amino acid.
#[derive(Debug)]
pub(super) struct ResidueAtoms {
    /// One letter.
    pub letter: u8,
    /// Three letters.
    pub name: &'static str,
    /// Its heavy atoms in the order of `atom14`.
    pub atoms: &'static [Atom],
    /// The last of the four atoms of each chi angle that it has. It lies on the axis of the next chi angle.
    pub chi: &'static [&'static str],
}

/// A heavy atom of an amino acid. Its place in the `atom14` layout is its place in
/// [`Residue::atoms`](super::Residue::atoms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atom {
    /// As in the PDB.
    pub name: &'static str,
    /// The rigid group it moves with: 0 is the backbone, 3 turns with psi, 4 to 7 with chi1 to chi4.
    pub group: u8,
    /// Where it is in the frame of the group, in 0.001 angstrom.
    pub position: [i16; 3],
}

const fn atom(name: &'static str, group: u8, position: [i16; 3]) -> Atom {
    Atom { name, group, position }
}

/// The atom types of the `atom37` layout, in order.
pub const ATOM_NAMES: [&str; 37] = [
    "N", "CA", "C", "CB", "O", "CG", "CG1", "CG2", "OG", "OG1", "SG", "CD", "CD1", "CD2", "ND1", "ND2",
    "OD1", "OD2", "SD", "CE", "CE1", "CE2", "CE3", "NE", "NE1", "NE2", "OE1", "OE2", "CH2", "NH1", "NH2",
    "OH", "CZ", "CZ2", "CZ3", "NZ", "OXT",
];

/// The 20 amino acids in AlphaFold's order, which is that of their names.
pub(super) static AMINO_ACIDS: [ResidueAtoms; 20] = [
    ResidueAtoms {
        letter: b'A',
        name: "ALA",
        atoms: &[
            atom("N", 0, [-525, 1363, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [627, 1062, 0]),
            atom("CB", 0, [-529, -774, -1205]),
        ],
        chi: &[],
    },
    ResidueAtoms {
        letter: b'R',
        name: "ARG",
        atoms: &[
            atom("N", 0, [-524, 1362, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-524, -778, -1209]),
            atom("CG", 4, [616, 1390, 0]),
            atom("CD", 5, [564, 1414, 0]),
            atom("NE", 6, [539, 1357, 0]),
            atom("CZ", 7, [758, 1093, 0]),
            atom("NH1", 7, [206, 2301, 0]),
            atom("NH2", 7, [2078, 978, 0]),
        ],
        chi: &["CG", "CD", "NE", "CZ"],
    },
    ResidueAtoms {
        letter: b'N',
        name: "ASN",
        atoms: &[
            atom("N", 0, [-536, 1357, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [625, 1062, 0]),
            atom("CB", 0, [-531, -787, -1200]),
            atom("CG", 4, [584, 1399, 0]),
            atom("OD1", 5, [633, 1059, 0]),
            atom("ND2", 5, [593, -1188, 1]),
        ],
        chi: &["CG", "OD1"],
    },
    ResidueAtoms {
        letter: b'D',
        name: "ASP",
        atoms: &[
            atom("N", 0, [-525, 1362, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1527, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-526, -778, -1208]),
            atom("CG", 4, [593, 1398, 0]),
            atom("OD1", 5, [610, 1091, 0]),
            atom("OD2", 5, [592, -1101, -3]),
        ],
        chi: &["CG", "OD1"],
    },
    ResidueAtoms {
        letter: b'C',
        name: "CYS",
        atoms: &[
            atom("N", 0, [-522, 1362, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1524, 0, 0]),
            atom("O", 3, [625, 1062, 0]),
            atom("CB", 0, [-519, -773, -1212]),
            atom("SG", 4, [728, 1653, 0]),
        ],
        chi: &["SG"],
    },
    ResidueAtoms {
        letter: b'Q',
        name: "GLN",
        atoms: &[
            atom("N", 0, [-526, 1361, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-525, -779, -1207]),
            atom("CG", 4, [615, 1393, 0]),
            atom("CD", 5, [587, 1399, 0]),
            atom("OE1", 6, [634, 1060, 0]),
            atom("NE2", 6, [593, -1189, -1]),
        ],
        chi: &["CG", "CD", "OE1"],
    },
    ResidueAtoms {
        letter: b'E',
        name: "GLU",
        atoms: &[
            atom("N", 0, [-528, 1361, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-526, -781, -1207]),
            atom("CG", 4, [615, 1392, 0]),
            atom("CD", 5, [600, 1397, 0]),
            atom("OE1", 6, [607, 1095, 0]),
            atom("OE2", 6, [589, -1104, -1]),
        ],
        chi: &["CG", "CD", "OE1"],
    },
    ResidueAtoms {
        letter: b'G',
        name: "GLY",
        atoms: &[
            atom("N", 0, [-572, 1337, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1517, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
        ],
        chi: &[],
    },
    ResidueAtoms {
        letter: b'H',
        name: "HIS",
        atoms: &[
            atom("N", 0, [-527, 1360, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [625, 1063, 0]),
            atom("CB", 0, [-525, -778, -1208]),
            atom("CG", 4, [600, 1370, 0]),
            atom("ND1", 5, [744, 1160, 0]),
            atom("CD2", 5, [889, -1021, 3]),
            atom("CE1", 5, [2030, 851, 2]),
            atom("NE2", 5, [2145, -466, 4]),
        ],
        chi: &["CG", "ND1"],
    },
    ResidueAtoms {
        letter: b'I',
        name: "ILE",
        atoms: &[
            atom("N", 0, [-493, 1373, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1527, 0, 0]),
            atom("O", 3, [627, 1062, 0]),
            atom("CB", 0, [-536, -793, -1213]),
            atom("CG1", 4, [534, 1437, 0]),
            atom("CG2", 4, [540, -785, -1199]),
            atom("CD1", 5, [619, 1391, 0]),
        ],
        chi: &["CG1", "CD1"],
    },
    ResidueAtoms {
        letter: b'L',
        name: "LEU",
        atoms: &[
            atom("N", 0, [-520, 1363, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [625, 1063, 0]),
            atom("CB", 0, [-522, -773, -1214]),
            atom("CG", 4, [678, 1371, 0]),
            atom("CD1", 5, [530, 1430, 0]),
            atom("CD2", 5, [535, -774, 1200]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'K',
        name: "LYS",
        atoms: &[
            atom("N", 0, [-526, 1362, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-524, -778, -1208]),
            atom("CG", 4, [619, 1390, 0]),
            atom("CD", 5, [559, 1417, 0]),
            atom("CE", 6, [560, 1416, 0]),
            atom("NZ", 7, [554, 1387, 0]),
        ],
        chi: &["CG", "CD", "CE", "NZ"],
    },
    ResidueAtoms {
        letter: b'M',
        name: "MET",
        atoms: &[
            atom("N", 0, [-521, 1364, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [625, 1062, 0]),
            atom("CB", 0, [-523, -776, -1210]),
            atom("CG", 4, [613, 1391, 0]),
            atom("SD", 5, [703, 1695, 0]),
            atom("CE", 6, [320, 1786, 0]),
        ],
        chi: &["CG", "SD", "CE"],
    },
    ResidueAtoms {
        letter: b'F',
        name: "PHE",
        atoms: &[
            atom("N", 0, [-518, 1363, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1524, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-525, -776, -1212]),
            atom("CG", 4, [607, 1377, 0]),
            atom("CD1", 5, [709, 1195, 0]),
            atom("CD2", 5, [706, -1196, 0]),
            atom("CE1", 5, [2102, 1198, 0]),
            atom("CE2", 5, [2098, -1201, 0]),
            atom("CZ", 5, [2794, -3, -1]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'P',
        name: "PRO",
        atoms: &[
            atom("N", 0, [-566, 1351, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1527, 0, 0]),
            atom("O", 3, [621, 1066, 0]),
            atom("CB", 0, [-546, -611, -1293]),
            atom("CG", 4, [382, 1445, 0]),
            atom("CD", 5, [477, 1424, 0]),
        ],
        chi: &["CG", "CD"],
    },
    ResidueAtoms {
        letter: b'S',
        name: "SER",
        atoms: &[
            atom("N", 0, [-529, 1360, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-518, -777, -1211]),
            atom("OG", 4, [503, 1325, 0]),
        ],
        chi: &["OG"],
    },
    ResidueAtoms {
        letter: b'T',
        name: "THR",
        atoms: &[
            atom("N", 0, [-517, 1364, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1526, 0, 0]),
            atom("O", 3, [626, 1062, 0]),
            atom("CB", 0, [-516, -793, -1215]),
            atom("OG1", 4, [472, 1353, 0]),
            atom("CG2", 4, [550, -718, -1228]),
        ],
        chi: &["OG1"],
    },
    ResidueAtoms {
        letter: b'W',
        name: "TRP",
        atoms: &[
            atom("N", 0, [-521, 1363, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1525, 0, 0]),
            atom("O", 3, [627, 1062, 0]),
            atom("CB", 0, [-523, -776, -1212]),
            atom("CG", 4, [609, 1370, 0]),
            atom("CD1", 5, [824, 1091, 0]),
            atom("CD2", 5, [854, -1148, -5]),
            atom("NE1", 5, [2140, 690, -4]),
            atom("CE2", 5, [2186, -678, -7]),
            atom("CE3", 5, [622, -2530, -7]),
            atom("CZ2", 5, [3283, -1543, -11]),
            atom("CZ3", 5, [1715, -3389, -11]),
            atom("CH2", 5, [3028, -2890, -13]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'Y',
        name: "TYR",
        atoms: &[
            atom("N", 0, [-522, 1362, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1524, 0, 0]),
            atom("O", 3, [627, 1062, 0]),
            atom("CB", 0, [-522, -776, -1213]),
            atom("CG", 4, [607, 1382, 0]),
            atom("CD1", 5, [716, 1195, 0]),
            atom("CD2", 5, [713, -1194, -1]),
            atom("CE1", 5, [2107, 1200, -2]),
            atom("CE2", 5, [2104, -1201, -3]),
            atom("CZ", 5, [2791, -1, -3]),
            atom("OH", 5, [4168, -2, -5]),
        ],
        chi: &["CG", "CD1"],
    },
    ResidueAtoms {
        letter: b'V',
        name: "VAL",
        atoms: &[
            atom("N", 0, [-494, 1373, 0]),
            atom("CA", 0, [0, 0, 0]),
            atom("C", 0, [1527, 0, 0]),
            atom("O", 3, [627, 1062, 0]),
            atom("CB", 0, [-533, -795, -1213]),
            atom("CG1", 4, [540, 1429, 0]),
            atom("CG2", 4, [533, -776, 1203]),
        ],
        chi: &["CG1"],
    },
];
