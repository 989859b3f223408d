"""Results of one network as a Markdown table: the leaderboard's records and published rows."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("mse", "mae", "ssim", "psnr")
DATA = {"moving_mnist": "Moving MNIST", "mmnist_cifar": "MMNIST-CIFAR"}
HEAD = (
    "| result | data | MSE ↓ | MAE ↓ | SSIM ↑ | PSNR ↑ | params (M) | multiply–adds (G) |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def own(kind: str, name: str) -> list[str]:
    """Return the rows of the leaderboard's records of a translator or predictor."""
    found = defaultdict(list)
    for line in (ROOT / "docs/leaderboard/records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] != "run" or record["status"] != "finished":
            continue
        model = record["results"]["model"]
        named = model.get("translator") if kind == "translator" else model["name"]
        if named == name and (kind == "translator" or name != "simvp"):
            key = (record["data"]["name"], record["scale"], record["budget_minutes"])
            found[key].append(record["results"])
    rows = []
    for (data, scale, minutes), results in found.items():
        seeds = f", {len(results)} seeds" if len(results) > 1 else ""
        values = [
            mean(one["metrics"][m] for one in results) for m in ("mse", "mae", "ssim", "psnr")
        ]
        budget = f"{minutes} minutes" if minutes else "no training"
        rows.append(
            f"| ours, {scale}, {budget}{seeds} | {DATA[data]} | "
            f"{values[0]:.2f} | {values[1]:.2f} | {values[2]:.4f} | {values[3]:.2f} | "
            f"{results[0]['params'] / 1e6:.2f} | {results[0]['macs'] / 1e9:.3f} |"
        )
    return rows


def published(name: str) -> list[str]:
    """Return the published rows of a translator or predictor."""
    table = json.loads((ROOT / "predcnn/leaderboard/published.json").read_text())
    rows = []
    for row in table["rows"]:
        if name in (row["name"], row.get("variant_of")) and row["data"] in DATA:
            cells = (row.get(key) for key in METRICS)
            size = (row.get(key) for key in ("params_millions", "flops_billions"))
            numbers = " | ".join("–" if cell is None else f"{cell:g}" for cell in (*cells, *size))
            label = f"*published*, {row['label']}, {row['epochs']:,} epochs"
            rows.append(f"| {label} | {DATA[row['data']]} | {numbers} |")
    return rows


def result_table(kind: str, name: str) -> str:
    """Return own and published results of a network, or a sentence that there are none."""
    rows = [*own(kind, name), *published(name)]
    if not rows:
        return "No result on the leaderboard yet, and no published row of SimVP with it.\n"
    return f"{HEAD}\n" + "\n".join(rows) + "\n"
