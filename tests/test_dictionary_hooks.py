"""Names of sites elsewhere: the modules named are those whose output is recorded for the site."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from connectome import activations, dictionary_hooks
from connectome.transformer import Batch, forward
from tiny_models import VOCABULARY, every_family, tiny

SITES = ("embed", "attn.0", "mlp.0", "attn.1", "mlp.1", "resid.0", "resid.1")


@every_family
def test_a_module_by_name_writes_what_is_recorded_for_the_site(family):
    folder, model = tiny(family)
    ids = torch.arange(VOCABULARY)[:6]
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    seen = {}
    for site in SITES:
        name = dictionary_hooks.names_of(site, family)["hf_hook_name"]

        def keep(module, read, wrote, site=site):
            seen[site] = wrote[0] if isinstance(wrote, tuple) else wrote

        theirs.get_submodule(name).register_forward_hook(keep)
    with torch.inference_mode():
        theirs(ids[None])
        trace = forward(model, Batch.of([ids.tolist()]))
    for site in SITES:
        found = activations.column(model, trace, site)
        # transformers computes some norms in float32 whatever the model is in
        torch.testing.assert_close(seen[site].reshape(found.shape), found, rtol=1e-5, atol=1e-5)


@every_family
def test_a_transcoder_names_both_ends_of_its_mlp(family):
    folder, model = tiny(family)
    names = dictionary_hooks.names_of("mlp.1", family, transcoder=True)
    assert names["hook_name"] == "blocks.1.mlp.hook_in"
    assert names["hook_name_out"] == "blocks.1.hook_mlp_out"
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    seen = {}

    def keep(end):
        def hook(module, read, wrote):
            seen[end] = (read[0], wrote)

        return hook

    theirs.get_submodule(names["hf_hook_name"]).register_forward_hook(keep("norm"))
    mlp = next(module for name, module in theirs.named_modules() if name.endswith(".1.mlp"))
    mlp.register_forward_hook(keep("mlp"))
    with torch.inference_mode():
        theirs(torch.arange(6)[None])
    assert torch.equal(seen["norm"][1], seen["mlp"][0])


@pytest.mark.parametrize(
    "hook, place",
    [
        ("blocks.0.hook_resid_pre", "embed"),
        ("blocks.7.hook_resid_pre", "resid.6"),
        ("blocks.7.hook_resid_post", "resid.7"),
        ("blocks.10.hook_attn_out", "attn.10"),
        ("blocks.0.hook_mlp_out", "mlp.0"),
        ("blocks.3.mlp.hook_in", "mlp.3.in"),
        ("blocks.3.attn.hook_z", "values of the heads of attn.3"),
        ("blocks.3.hook_resid_mid", "the stream between attn.3 and mlp.3"),
        ("blocks.3.ln2.hook_normalized", "what mlp.3 reads, without gain and bias of its norm"),
        ("blocks.3.hook_mlp_in", None),
        ("blocks.x.hook_mlp_out", None),
        ("resid_post_layer_3", None),
        ("None", None),
    ],
)
def test_a_hook_is_the_site_behind_it(hook, place):
    assert dictionary_hooks.place_of(hook) == place


@pytest.mark.parametrize("site", SITES)
def test_names_of_sites_lead_back_to_them(site):
    assert dictionary_hooks.place_of(dictionary_hooks.names_of(site, "gpt2")["hook_name"]) == site
