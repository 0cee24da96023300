"""Names that others give to sites: hooks of TransformerLens, module paths of transformers.

Sites here are what modules write (`attn.N`, `mlp.N`), the stream behind a block (`resid.N`) or
before the first (`embed`), and what an MLP reads with gain and bias of its norm (`mlp.N.in`).
Standard library alone.
"""

import importlib
import re

from connectome import architectures

_HOOKS = {
    "embed": "blocks.0.hook_resid_pre",
    "attn": "blocks.{}.hook_attn_out",
    "mlp": "blocks.{}.hook_mlp_out",
    "mlp.in": "blocks.{}.mlp.hook_in",
    "resid": "blocks.{}.hook_resid_post",
}
# what is no site, in words: a dictionary of these reads something else than is recorded
_OTHERS = {
    "attn.hook_z": "values of the heads of attn.{}",
    "mlp.hook_pre": "hidden units of mlp.{} before their activation",
    "mlp.hook_post": "hidden units of mlp.{}",
    "hook_resid_mid": "the stream between attn.{0} and mlp.{0}",
    "ln1.hook_normalized": "what attn.{} reads, without gain and bias of its norm",
    "ln2.hook_normalized": "what mlp.{} reads, without gain and bias of its norm",
}


def names_of(site: str, architecture: str, transcoder: bool = False) -> dict[str, str]:
    """Names of a site for the metadata of a dictionary; a transcoder has those of both ends.

    architecture: the `model_type` of the model.
    """
    modules = importlib.import_module(f"{architectures.__name__}.{architecture}").MODULES
    kind, _, layer = site.partition(".")
    reads = f"{kind}.in" if transcoder else kind
    names = {
        "hook_name": _HOOKS[reads].format(layer),
        "hf_hook_name": modules[reads].format(layer),
    }
    if transcoder:
        names["hook_name_out"] = _HOOKS[kind].format(layer)
        names["hf_hook_name_out"] = modules[kind].format(layer)
    return names


def place_of(hook: str) -> str | None:
    """The site behind a hook of TransformerLens, in words where it is none; None: not known."""
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if found is None:
        return None
    layer, name = int(found[1]), found[2]
    if name == "hook_resid_pre":
        return f"resid.{layer - 1}" if layer else "embed"
    if name in _OTHERS:
        return _OTHERS[name].format(layer)
    for kind, pattern in _HOOKS.items():
        if pattern.format(layer) == hook:
            place, _, end = kind.partition(".")
            return f"{place}.{layer}" + (f".{end}" if end else "")
    return None
