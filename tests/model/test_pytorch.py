"""The same runs in PyTorch, which is installed where the benchmarks are run: agreement to rounding."""

import numpy as np
import pytest

import sedyn

torch = pytest.importorskip("torch")

M, N, T = 60, 40, 25
SCHEDULE = np.linspace(0.06, 0.02, T)
CASES = {
    "Adam": (sedyn.Adam(0.9, 0.99, 1e-4), 0.0),
    "Adam as it comes": (sedyn.Adam(), 0.0),
    "AdamW": (sedyn.Adam(0.8, 0.95, 1e-3), 0.2),
    "RMSprop": (sedyn.RMSProp(0.9, 1e-3), 0.0),
    "clipping": (sedyn.Clip(0.05), 0.0),
}


def in_torch(optimizer, decay, network, weights, X, y):
    """Weights after T steps: the numbers of the first layer over, the decay times sqrt(n), as `sedyn.model.optimizers`
    says."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    layers = [torch.nn.Parameter(torch.from_numpy(W.copy())) for W in (weights.first, *weights.deep)]
    biases = [torch.nn.Parameter(torch.from_numpy(b.copy())) for b in weights.biases]
    root = np.sqrt(N)

    def made(parameters, scale, decay):
        options = {"lr": SCHEDULE[0] / scale}
        if isinstance(optimizer, sedyn.Adam):
            betas = {"betas": (optimizer.beta1, optimizer.beta2), "eps": optimizer.epsilon / scale}
            return torch.optim.AdamW(parameters, weight_decay=decay * scale, **options, **betas)
        if isinstance(optimizer, sedyn.RMSProp):
            return torch.optim.RMSprop(parameters, alpha=optimizer.beta, eps=optimizer.epsilon / scale, **options)
        return torch.optim.SGD(parameters, lr=SCHEDULE[0])

    parts = [(made(layers[:1], root, decay), root), (made(layers[1:], 1.0, decay), 1.0), (made(biases, 1.0, 0.0), 1.0)]
    for step in SCHEDULE:
        h = torch.tanh(X @ layers[0] + biases[0])
        f = torch.tanh(h @ layers[1] + biases[1]) @ layers[2] + biases[2]
        loss = torch.mean((f[:, 0] - y) ** 2) / 2
        for part, scale in parts:
            part.zero_grad()
            plain = isinstance(optimizer, sedyn.Clip)
            part.param_groups[0]["lr"] = step if plain else step / scale
        loss.backward()
        for part, scale in parts:
            if isinstance(optimizer, sedyn.Clip):
                torch.nn.utils.clip_grad_value_(part.param_groups[0]["params"], optimizer.bound / scale)
            part.step()
    return [p.detach().numpy() for p in (*layers, *biases)]


@pytest.mark.seconds
@pytest.mark.parametrize("name", CASES)
def test_the_same_weights(name):
    optimizer, decay = CASES[name]
    network = sedyn.Network((3, 4, 1), ("tanh", "tanh", "identity"), bias=True)
    weights = network.init(N, rng=0)
    X, y = sedyn.SingleIndex("sine", 0.2).sample(M, sedyn.random_signal(N, rng=1), rng=2)
    training = sedyn.Training(lambda t: SCHEDULE[t], T, weight_decay=decay, optimizer=optimizer)
    run = sedyn.gradient_descent(network, training, weights, X, y)
    found = in_torch(optimizer, decay, network, weights, X, y)
    assert np.abs(run.final.first - weights.first).max() > 1e-3
    for ours, theirs in zip((run.final.first, *run.final.deep, *run.final.biases), found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
