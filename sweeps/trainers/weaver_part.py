"""A trainer of weaver-core's ParticleTransformer on ROOT files, with a loop of its own.

Asked for by a recipe with ``Model(architecture="part")`` and this command, whose N and FLOPs are
then those of the plan:

    Command(files="root", run="{python} trainers/weaver_part.py --width={width} "
            "--layers={layers} --heads={heads} --epochs={epochs} --batch={batch_size} "
            "--rate={learning_rate} --seed={seed} --device={device} --train={train} "
            "--validation={validation} --test={test} --trunk={trunk} --save-trunk={save_trunk} "
            "--out={out}")

It needs ``pip install --no-deps weaver-core``, whose models want PyTorch alone, and uproot. The
program ``weaver`` wants numba, PyTables and TensorBoard besides, and a data configuration.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import uproot
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from weaver.nn.model.ParticleTransformer import ParticleTransformer


class Jets:
    """The jets of a file: features, four-vectors and labels."""

    def __init__(self, file: str) -> None:
        with uproot.open(file) as opened:
            self.classes = json.loads(str(opened["classes"]))
            arrays = opened["tree"].arrays(library="np")
        self.labels = torch.as_tensor(arrays.pop("label"))
        arrays = {name: lists for name, lists in arrays.items() if name.startswith("part_")}
        columns = zip(*arrays.values(), strict=True)
        self.features = [
            torch.stack([torch.as_tensor(column) for column in jet], 1) for jet in columns
        ]
        pt, eta, phi = (list(arrays).index(f"part_{name}") for name in ("pt_log", "deta", "dphi"))
        self.vectors = [vectors(x[:, pt], x[:, eta], x[:, phi]) for x in self.features]

    def batch(self, rows: list[int], device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(J, F, L) features, (J, 4, L) four-vectors, (J, 1, L) mask and (J,) labels."""
        x, v = (
            pad_sequence([values[row] for row in rows], batch_first=True).transpose(1, 2)
            for values in (self.features, self.vectors)
        )
        lengths = torch.tensor([len(self.features[row]) for row in rows])
        mask = (torch.arange(x.shape[2]) < lengths[:, None])[:, None]
        return x.to(device), v.to(device), mask.to(device), self.labels[rows].to(device)


def vectors(log_pt: Tensor, eta: Tensor, phi: Tensor) -> Tensor:
    """(n, 4) massless four-vectors (px, py, pz, E) about the jet axis.

    The logarithm of pT was standardised as weaver's configuration of JetClass does it.
    """
    pt = (log_pt / 0.7 + 1.7).exp()
    return torch.stack((pt * phi.cos(), pt * phi.sin(), pt * eta.sinh(), pt * eta.cosh()), 1)


def network(options: argparse.Namespace, features: int, classes: int) -> nn.Module:
    """The model of the size asked for, with the trunk that there is."""
    torch.manual_seed(options.seed)
    width, heads = options.width, options.heads
    model: nn.Module = ParticleTransformer(
        input_dim=features,
        num_classes=classes,
        embed_dims=(width, 4 * width, width),
        pair_embed_dims=(width // 2,) * 3,
        num_heads=heads,
        num_layers=options.layers,
        trim=False,  # drops constituents
    )
    if options.trunk:
        model.load_state_dict(torch.load(options.trunk, weights_only=True), strict=False)
    return model.to(options.device)


@torch.no_grad()
def score(model: nn.Module, file: str, device: str) -> tuple[float, float]:
    """Mean loss and accuracy on the jets of a file."""
    model.eval()
    jets, loss, right = Jets(file), 0.0, 0
    for rows in torch.split(torch.arange(len(jets.labels)), 256):
        *inputs, labels = jets.batch(rows.tolist(), device)
        logits = model(*inputs)
        loss += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
        right += int((logits.argmax(1) == labels).sum())
    return loss / len(jets.labels), right / len(jets.labels)


def train(options: argparse.Namespace) -> dict[str, Any]:
    """The result of a training."""
    jets = Jets(options.train)
    model = network(options, jets.features[0].shape[1], len(jets.classes))
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.01)
    steps = options.epochs * -(-len(jets.labels) // options.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    curve, points = list[list[float]](), max(1, steps // 30)
    for _ in range(options.epochs):
        for rows in torch.split(torch.randperm(len(jets.labels)), options.batch):
            model.train()
            *inputs, labels = jets.batch(rows.tolist(), options.device)
            loss = nn.functional.cross_entropy(model(*inputs), labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            if schedule.last_epoch % points == 0 or schedule.last_epoch == steps:
                curve.append([schedule.last_epoch, float(loss)])
    if options.save_trunk:
        weights = model.state_dict().items()
        torch.save({k: w for k, w in weights if not k.startswith("fc.")}, options.save_trunk)
    result: dict[str, Any] = {
        "params": sum(weight.numel() for weight in model.parameters()),
        "steps": schedule.last_epoch,
        "curve": {"training_loss": curve},
        "versions": {name: version(name) for name in ("torch", "weaver-core")},
    }
    if options.test:
        result["validation_loss"], _ = score(model, options.validation, options.device)
        result["loss"], accuracy = score(model, options.test, options.device)
        result["scores"] = {"accuracy": accuracy}
    return result


def main() -> None:
    """Train one run."""
    parser = argparse.ArgumentParser()
    for name in ("width", "layers", "heads", "epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    for name in ("device", "train", "validation", "test", "trunk", "save-trunk", "out"):
        parser.add_argument(f"--{name}", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    Path(options.out).write_text(json.dumps(train(options)))


if __name__ == "__main__":
    main()
