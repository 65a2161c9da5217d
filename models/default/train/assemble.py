"""A checkpoint of train_fold.py -> OUT_DIR/lm (EsmForMaskedLM) and OUT_DIR/fold (EsmForProteinFolding), HuggingFace folders in fp16,
and OUT_DIR/default, the folding model with the language model's head, which scripts/quantize-default-model takes.

python assemble.py FOLD OUT_DIR
FOLD: what train_fold.py writes (.pt), or that packed in 8 bits (.int8.pt.xz), as ../checkpoint holds it.
"""
import json
import os
import sys

from safetensors.torch import save_file
from transformers import EsmConfig, EsmForMaskedLM, EsmForProteinFolding

import lm

here = os.path.dirname(os.path.abspath(__file__))
VOCABULARY = ["<cls>", "<pad>", "<eos>", "<unk>"] + list("LAGVSERTIDPKQNFYMHWCXBUZO") + [".", "-", "<null_1>", "<mask>"]


def write(folder, model, state, config, more={}):
    """state must hold every parameter of the model; what a model computes itself (rotary frequencies, position numbers) is left out. more: tensors that
    the model doesn't know."""
    own = model.state_dict()
    skip = ("rotary", "position_embeddings", "position_ids")
    missing = [k for k in own if k not in state and not any(s in k for s in skip)]
    assert not missing, missing
    os.makedirs(folder, exist_ok=True)
    keep = {k: state[k].contiguous().clone() for k in own if not any(s in k for s in skip)}
    keep |= {k: v.contiguous().clone() for k, v in more.items()}
    save_file({k: v.half() if v.dtype.is_floating_point else v for k, v in keep.items()}, folder + "/model.safetensors", {"format": "pt"})
    json.dump(config, open(folder + "/config.json", "w"), indent=1)
    open(folder + "/vocab.txt", "w").write("\n".join(VOCABULARY) + "\n")
    print(folder, len(keep), "tensors,", os.path.getsize(folder + "/model.safetensors"), "bytes")


def main(checkpoint, out):
    cfg = json.load(open(here + "/config.json"))
    sd = lm.load(checkpoint)
    fold = EsmForProteinFolding(EsmConfig(**cfg))
    state = {k: v for k, v in sd.items() if not k.startswith("mlm_head.")}
    state["af2_to_esm"] = fold.af2_to_esm
    config = cfg | {"architectures": ["EsmForProteinFolding"], "model_type": "esm", "vocab_list": VOCABULARY}
    write(out + "/fold", fold, state, config)
    # The same with the language model's head, for the quantizer: one file that can do all. transformers takes such a head for its own
    # folding model's, which has another shape.
    head = {"esm.lm_head." + k[9:]: v for k, v in sd.items() if k.startswith("mlm_head.")}
    head["esm.lm_head.decoder.weight"] = sd["esm.embeddings.word_embeddings.weight"]
    write(out + "/default", fold, state, config, head)
    cfg.pop("esmfold_config")
    cfg["is_folding_model"] = False
    state = {k: v for k, v in sd.items() if k.startswith("esm.")}
    state |= {"lm_head." + k[9:]: v for k, v in sd.items() if k.startswith("mlm_head.")}
    state["lm_head.decoder.weight"] = sd["esm.embeddings.word_embeddings.weight"]
    write(out + "/lm", EsmForMaskedLM(EsmConfig(**cfg)), state, cfg | {"architectures": ["EsmForMaskedLM"], "model_type": "esm"})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
