"""Convert a published checkpoint to a .safetensors file of this package."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from predcnn.app.build import check_choices
from predcnn.app.provenance import plain
from predcnn.predictors.checkpoint import save_predictor
from predcnn.weights.files import existing_file
from predcnn.weights.published import load_openstl_weights


def import_weights(cfg: DictConfig) -> None:
    """Load ``weights`` strictly into the configured predictor and write it as .safetensors."""
    check_choices(cfg)
    source = existing_file(cfg.weights)  # before a large predictor is built
    target = Path(cfg.output) if cfg.output else source.with_suffix(".safetensors")
    predictor = instantiate(cfg.model.net)
    load_openstl_weights(predictor, source)
    run = plain(cfg)
    kept = {key: run[key] for key in ("data", "seed", "metrics", "lpips_weights")}
    save_predictor(predictor, target, run={"name": target.stem, "weights": source.name, **kept})
    count = sum(p.numel() for p in predictor.parameters())
    print(f"{count:,} parameters of {source.name} -> {target}")
