use super::*;
use proptest::prelude::*;

fn named(headers: &[&str]) -> Vec<Name> {
    let mut names = Names::default();
    headers.iter().enumerate().for_each(|(i, header)| names.add(header, "dir/in.fasta.gz", i + 1));
    names.assign()
}

fn stems(headers: &[&str]) -> Vec<String> {
    named(headers).into_iter().map(|name| name.stem).collect()
}

#[test]
fn usual_identifiers_stay() {
    let headers = ["1UBQ_A ubiquitin", "sp|P0CG48|UBC_HUMAN Polyubiquitin-C", "a-b+c@d.e__f"];
    assert_eq!(stems(&headers), ["1UBQ_A", "sp_P0CG48_UBC_HUMAN", "a-b+c@d.e__f"]);
    let ids: Vec<String> = named(&headers).into_iter().map(|name| name.id).collect();
    assert_eq!(ids, ["1UBQ_A", "sp|P0CG48|UBC_HUMAN", "a-b+c@d.e__f"]);
}

#[test]
fn repeated_identifiers_take_more_of_the_header() {
    let design = |n| format!("T=0.1, sample={n}, score=0.8{n}, global_score=0.8{n}, seq_recovery=0.4");
    let designs = ["5abc, score=1.61, fixed_chains=[], seed=37", &design(1), &design(2), &design(3)];
    assert_eq!(stems(&designs), ["5abc", "T_0.1_sample_1", "T_0.1_sample_2", "T_0.1_sample_3"]);
    let ids: Vec<String> = named(&designs).into_iter().map(|name| name.id).collect();
    assert_eq!(ids, ["5abc,", "T_0.1_sample_1", "T_0.1_sample_2", "T_0.1_sample_3"]);
    assert_eq!(
        stems(&["ESMFOLD V0 PREDICTION FOR MGYP1", "ESMFOLD V0 PREDICTION FOR MGYP2"]),
        ["ESMFOLD_V0_PREDICTION_FOR_MGYP1", "ESMFOLD_V0_PREDICTION_FOR_MGYP2"]
    );
    assert_eq!(stems(&["a", "a x", "a x y", "a z"]), ["a", "a_x", "a_x_y", "a_z"]);
}

#[test]
fn equal_names_get_numbers_that_no_other_name_has() {
    assert_eq!(stems(&["x", "x", "x_2", "X", "x"]), ["x", "x_3", "x_2", "X_4", "x_5"]);
    assert_eq!(stems(&["3unb_T", "3unb_t"]), ["3unb_T", "3unb_t_2"]);
    assert_eq!(stems(&["a|b", "a/b", "a_b"]), ["a_b", "a_b_2", "a_b_3"]);
    // Composed and decomposed; and what is equal in capitals only.
    assert_eq!(stems(&["\u{e9}", "e\u{301}", "\u{c9}"]), ["\u{e9}", "\u{e9}_2", "\u{c9}_3"]);
    assert_eq!(stems(&["stra\u{df}e", "STRASSE"]), ["stra\u{df}e", "STRASSE_2"]);
    let long = "y".repeat(300);
    let numbered = format!("{}_2", "y".repeat(198));
    assert_eq!(stems(&[&long, &long[..250]]), ["y".repeat(200), numbered]);
}

#[test]
fn identifiers_are_none_of_other_records() {
    let ids = |headers: &[&str]| named(headers).into_iter().map(|name| name.id).collect::<Vec<_>>();
    assert_eq!(ids(&["a b", "a c", "a_b"]), ["a_b", "a_c", "a_b_2"]);
    assert_eq!(ids(&["a|b", "a_b"]), ["a|b", "a_b_2"]);
}

#[test]
fn records_without_a_name_are_named_by_file_and_number() {
    assert_eq!(stems(&["", "a", "|||", "", "- \u{1f9ec}"]), ["in_1", "a", "in_3", "in_4", "in_5"]);
    assert_eq!(stems(&["| tyk2 kinase"]), ["tyk2"]);
    let mut names = Names::default();
    names.add("", "<stdin>", 7);
    names.add("", "1abc.A.fa", 1);
    names.add("", "..", 2);
    assert_eq!(names.assign().into_iter().map(|n| n.stem).collect::<Vec<_>>(), ["stdin_7", "1abc_1", "_2"]);
}

#[test]
fn names_that_systems_cannot_hold_are_changed() {
    for (header, stem) in [
        ("aux", "_aux"),
        ("CON", "_CON"),
        ("nul.1", "_nul.1"),
        ("com1", "_com1"),
        ("LPT\u{b2}.x", "_LPT\u{b2}.x"),
        ("com10", "com10"),
        ("console", "console"),
        ("-rf", "_rf"),
        (".hidden", "_hidden"),
        ("..", "in_1"),
        ("a...", "a"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("a<b>c:d\"e\\f|g?h*i", "a_b_c_d_e_f_g_h_i"),
        ("a\u{1}b\u{7f}", "a_b"),
        ("\u{86cb}\u{767d}\u{8d28}1", "\u{86cb}\u{767d}\u{8d28}1"),
        ("\u{905}\u{928}\u{94d}\u{928}", "\u{905}\u{928}\u{94d}\u{928}"),
        ("a\u{202e}b", "a_b"),
    ] {
        assert_eq!(stems(&[header]), [stem], "{header:?}");
    }
    assert_eq!(stems(&[&"\u{86cb}".repeat(100)])[0].len(), 198);
    assert_eq!(ascii_name("\u{86cb}a|b"), "_a_b");
}

proptest! {
    #[test]
    fn names_are_distinct_and_hold_everywhere(headers in prop::collection::vec("[aAb\u{e9}_2.| -]{0,6}|\\PC{0,260}", 1..12)) {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (mut seen, mut ids) = (HashSet::new(), HashSet::new());
        for Name { id, stem } in named(&headers) {
            prop_assert!(!stem.is_empty() && stem.len() <= MAX_STEM);
            prop_assert!(!stem.starts_with(['.', '-']) && !stem.ends_with(['.', ' ']) && !is_device(&stem));
            prop_assert!(!stem.contains(|c: char| c.is_control() || "<>:\"/\\|?*".contains(c)));
            prop_assert!(stem.nfc().eq(stem.chars()));
            prop_assert!(seen.insert(folded(&stem)), "{}", stem);
            prop_assert!(ids.insert(id));
        }
    }

    #[test]
    fn names_depend_on_headers_only(headers in prop::collection::vec("[ab]{0,2} [ab]{0,2}", 1..9)) {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        prop_assert_eq!(named(&headers), named(&headers));
        // A record that no other resembles keeps its name in any company.
        let with: Vec<&str> = headers.iter().copied().chain(["unlike"]).collect();
        let names = named(&with);
        prop_assert_eq!(&names[headers.len()].stem, "unlike");
        prop_assert_eq!(&names[..headers.len()], &named(&headers)[..]);
    }
}
