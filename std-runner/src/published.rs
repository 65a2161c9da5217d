//! Published weights, by the SHA-256 of their files.
//!
//! None of the files could be hashed for this project. Each row was found in public source code that
//! downloads the file and refuses any other hash, or records what it downloaded: in at least two projects
//! that have nothing to do with each other, except where a row says otherwise. For the hub's files the hash
//! is also the Git LFS object of the revision that is named.

use serde_json::{Map, Value};

/// SHA-256 of a file, and the model that it is a part of.
const FILES: [(&str, &str); 16] = [
    // model.safetensors of revision c731040fcd8d73dceaa04b0a8e6329b345b0f5df, 31,384,292 bytes.
    ("24c5fa474c48f3b754b86efe752d5f189d2bcd88190fa2270fc92b2ef3034189", "facebook/esm2_t6_8M_UR50D"),
    // model.safetensors of revision 6fbf070e65b0b7291e7bbcd451118c216cff79d8, 136,008,798 bytes.
    ("e35647818e0e064351d4531ed480d225a002567b4b2b93ad3a9246d753150fc0", "facebook/esm2_t12_35M_UR50D"),
    // model.safetensors of revision a695f6045e2e32885fa60af20c13cb35398ce30c, 595,257,706 bytes.
    ("c3f1da8aea53bddd32c246c86168c23b9fd72341fb9db9a94436f855f5053566", "facebook/esm2_t30_150M_UR50D"),
    // model.safetensors of revision 08e4846e537177426273712802403f7ba8261b6c, 2,609,506,392 bytes; then its
    // pytorch_model.bin.
    ("a08adabb949fa67ad3c14b509d04fd60368b35007b0095e3358f81200c4f4db0", "facebook/esm2_t33_650M_UR50D"),
    ("c874668852c7275a159e2c7ceb6069671d7b1ba2c7b52f59600b34ce0f721008", "facebook/esm2_t33_650M_UR50D"),
    // model.safetensors of revision ba837a39b67e59941c3f017d6c2a064f567038d9. One project, which compares it
    // with what the hub's interface says of that revision.
    ("9a865162cdcaac8d5385c908fd0c620fccf0405adb3a5b49566a8d88831977ac", "facebook/esmfold_v1"),
    // From dl.fbaipublicfiles.com/fair-esm/models and /regression: NAME.pt, then NAME-contact-regression.pt.
    ("46f002a9870c9bdecd0ea887acb1f9a38a6b561e8f8bf8a6990b679b9d31b928", "esm2_t6_8M_UR50D of fair-esm"),
    ("8f7a4557d57713b97ba0e484303007efb7230d25299c0ac47a0a1b12a87bbb9d", "esm2_t6_8M_UR50D of fair-esm"),
    ("7f21e80e61d16a71735163ef555d3009afb0c98da74c48e29df08606973cc55e", "esm2_t12_35M_UR50D of fair-esm"),
    // One project, which downloads it from there and refuses any other.
    ("16641e05d830d0ce863dd152dbb8c2f3ddfa3c3ec2a66080152c8abad01d8585", "esm2_t12_35M_UR50D of fair-esm"),
    ("881c7176cf198ef8dec26a3c375d40eb58d0c33df95c22562ca6cc6d3f812c62", "esm2_t30_150M_UR50D of fair-esm"),
    // One project, which records it twice.
    ("6a604b96722ed052eef8a094ad90b275ba2e987d406315dbed0bdc6b3c4238a7", "esm2_t30_150M_UR50D of fair-esm"),
    ("ea9d0522b335a8778dea6535a65301f10208dece28cd5865482b0b1fc446168c", "esm2_t33_650M_UR50D of fair-esm"),
    ("8ffe6edbd4173dc8d45c2cd5cb27d43aad77ec26b4c768200c58ae1f96693575", "esm2_t33_650M_UR50D of fair-esm"),
    ("7de8b4082ba15891959ab368b77ce3886697af1efb16d3c9e9e7b0c5d3f07500", "esm2_t36_3B_UR50D of fair-esm"),
    ("4da500eab246481dc9c8c95bc7b1d02f2803d761c380b0e95186d4a07d0fc84e", "esm2_t36_3B_UR50D of fair-esm"),
];

/// The published model whose files, and no others, a model file was made from; `meta` is its `meta.json`.
pub fn source(meta: &Map<String, Value>) -> Option<&'static str> {
    let hashes = meta.get("sha256")?.as_object()?;
    let model =
        |hash: &Value| FILES.iter().find(|(known, _)| Some(*known) == hash.as_str()).map(|(_, model)| *model);
    let mut models = hashes.values().map(model);
    let first = models.next()??;
    models.all(|other| other == Some(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SAFETENSORS: &str = "24c5fa474c48f3b754b86efe752d5f189d2bcd88190fa2270fc92b2ef3034189";

    fn found(hashes: Value) -> Option<&'static str> {
        source(json!({ "checkpoint": "x", "sha256": hashes }).as_object()?)
    }

    #[test]
    fn all_files_must_be_those_of_one_published_model() {
        assert_eq!(found(json!({ "model.safetensors": SAFETENSORS })), Some("facebook/esm2_t6_8M_UR50D"));
        let fair = json!({
            "a.pt": "ea9d0522b335a8778dea6535a65301f10208dece28cd5865482b0b1fc446168c",
            "a-contact-regression.pt": "8ffe6edbd4173dc8d45c2cd5cb27d43aad77ec26b4c768200c58ae1f96693575",
        });
        assert_eq!(found(fair), Some("esm2_t33_650M_UR50D of fair-esm"));
        let adapted = json!({ "model.safetensors": SAFETENSORS, "adapter_model.safetensors": "00" });
        let mixed = json!({
            "a.pt": "46f002a9870c9bdecd0ea887acb1f9a38a6b561e8f8bf8a6990b679b9d31b928",
            "a-contact-regression.pt": "8ffe6edbd4173dc8d45c2cd5cb27d43aad77ec26b4c768200c58ae1f96693575",
        });
        let other = json!({ "model.safetensors": SAFETENSORS.replace('2', "3") });
        for hashes in [adapted, mixed, other, json!({}), json!(null)] {
            assert_eq!(found(hashes.clone()), None, "{hashes}");
        }
        assert_eq!(source(&Map::new()), None);
    }

    #[test]
    fn hashes_are_whole_and_differ() {
        for (i, (hash, model)) in FILES.iter().enumerate() {
            assert!(
                hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
                "{model}"
            );
            assert!(FILES[..i].iter().all(|(other, _)| other != hash), "{model}");
        }
    }
}
