"""Losses of dictionaries once more: dense matrices, sorting, autograd, one formula a line."""

import torch

BANDWIDTH = 0.03


def most(values: torch.Tensor, count: int) -> torch.Tensor:
    """Which `count` of values (n,) are largest, bool; of equal ones the first."""
    known = values.tolist()
    order = sorted(range(len(known)), key=lambda i: (-known[i], i))
    kept = torch.zeros(len(values), dtype=torch.bool)
    kept[order[:count]] = True
    return kept


def kept(h: torch.Tensor, settings) -> torch.Tensor:
    """Which features (N, F) the TopK family keeps."""
    if settings.architecture == "topk":
        return torch.stack([most(row, settings.k) for row in h])
    return most(h.relu().flatten(), settings.k * len(h)).view_as(h)


def features_and_price(h, weights, settings, step):
    """Features (N, F) and what they cost beside the error."""
    if settings.architecture == "relu":
        f = h.relu()
        lengths = weights["decoder"].norm(dim=1)
        price = settings.sparsity * min(1, step / (0.05 * settings.steps))
        return f, price * (f * lengths).sum(1).mean()
    if settings.architecture != "jumprelu":
        return h.relu() * kept(h, settings), torch.zeros(())
    theta = weights["threshold"].expand_as(h)
    above = (h > theta).to(h.dtype)
    window = (((h - theta) / BANDWIDTH).abs() < 0.5).to(h.dtype)
    moved = theta - theta.detach()  # 0, with the gradient of theta
    f = h * above - (theta / BANDWIDTH * window).detach() * moved
    fired = above - window / BANDWIDTH * moved
    return f, settings.sparsity * (fired.sum(1).mean() / settings.k - 1) ** 2


def loss(weights: dict, x, y, settings, step: int, dead: torch.Tensor) -> torch.Tensor:
    """Loss of scaled inputs and targets; `dead` (F,) bool."""
    w, b = weights["encoder"], weights["encoder_bias"]
    d, c = weights["decoder"], weights["decoder_bias"]
    centre = 0 if settings.transcoder else c
    f, price = features_and_price((x - centre) @ w.T + b, weights, settings, step)
    base = c + (x @ weights["skip"].T if "skip" in weights else 0)
    errors = [y - base - f[:, :m] @ d[:m] for m in settings.widths or (settings.features,)]
    total = sum((e**2).sum(1).mean() for e in errors) / len(errors) + price
    if settings.architecture in ("topk", "batchtopk", "matryoshka") and dead.any():
        r = errors[-1].detach()
        half, count = y.shape[1] // 2, int(dead.sum())
        held = centre if settings.transcoder else c.detach()
        g = ((x - held) @ w[dead].T + b[dead]).relu()
        g = g * torch.stack([most(row, min(half, count)) for row in g])
        variance = ((r - r.mean(0)) ** 2).mean()
        total = total + min(count / half, 1) * ((r - g @ d[dead]) ** 2).mean() / variance / 32
    return total
