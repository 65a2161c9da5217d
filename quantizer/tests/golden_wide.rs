//! Folding at esmfold_v1's widths (2 blocks, random weights): the float reference against PyTorch, the
//! integer model against both.

mod fixture;

use fixture::folding::{Prediction, model};
use fixture::wide;

/// Positions in angstroms, pLDDT, aligned error in angstroms, pTM.
type Differences = [f32; 4];

fn assert_within(what: &str, found: Differences, most: Differences) {
    assert!(
        found.iter().zip(most).all(|(found, most)| *found <= most),
        "{what}: {found:?}, expected {most:?}"
    );
}

#[test]
fn real_widths_agree_with_transformers_in_floats_and_in_integers() {
    let folder = tempfile::tempdir().unwrap();
    wide::write_checkpoint(folder.path());
    let (tokens, expected) = wide::expected();
    for (passes, expected) in (1..).zip(&expected) {
        let float = Prediction::float(folder.path(), &tokens, passes);
        assert_within("float", float.differences(expected), [1e-3, 1e-4, 1e-3, 1e-5]);
    }
    // Rounding thousands of correlated channels one after another takes minutes.
    let model = model(folder.path(), ">a\nMKTAYIAKQRQISFVDHCNEPGLWX\n", &["--round-to-nearest"]);
    // Measured: CA lDDT 0.996 and 0.993; [0.50, 0.0050, 0.07, 1.8e-4] and [1.67, 0.0050, 0.40, 1.0e-4].
    let most = [[1.0, 0.01, 0.2, 5e-4], [4.0, 0.01, 1.2, 5e-4]];
    for ((passes, expected), most) in (1..).zip(&expected).zip(most) {
        let integer = Prediction::integer(&model, &tokens, passes);
        assert_within("integer", integer.differences(expected), most);
        let lddt = integer.lddt(expected);
        assert!(lddt > 0.97, "lDDT {lddt} after {passes} passes");
    }
}
