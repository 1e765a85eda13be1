"""Records of a run whose omega are given, as deepnet_runs.train writes them."""

import json

import numpy as np


def write(folder, omega, *, seed=0, network="resnet8", clean_from=3, **changes):
    """A run whose rows have the omega (T, K), at every other epoch, and a summed learning rate; its folder's name."""
    folder.mkdir()
    config = {
        "dataset": "digits",
        "network": network,
        "loss": "mse",
        "seed": seed,
        "lam": 0.0,
        "device": "cpu",
    } | changes
    (folder / "config.json").write_text(json.dumps(config))
    K = omega.shape[1]
    V = np.linalg.qr(np.vstack([np.eye(K) - 1, np.ones(K)]))[0]
    rows = [
        {
            "epoch": 2 * i + 1,
            "omega": list(values),
            "train_error": 0.0 if 2 * i + 1 >= clean_from else 0.1,
            "lr_sum": 0.1 * (2 * i + 1),
            "snr_right": V.T.tolist(),
            "loss_nc1": 1.0,
            "loss_nc23": 1.0,
            "loss_ls_perp": 2.0 / (i + 1),
            "mean_output_gap": 0.5 / (i + 1),
        }
        for i, values in enumerate(omega)
    ]
    (folder / "measurements.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(folder)
