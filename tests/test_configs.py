"""The configuration tree: complete, consistent, and equal to the published recipes."""

import inspect
import re
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import predcnn
import predcnn.predictors
from predcnn.data.datamodule import SETS
from predcnn.predictors.create import create_predictor
from predcnn.registry import PREDICTORS

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NOT_ONE_BLOCK = {"stack", "custom"}

# Published learning rates (OpenSTL): Moving MNIST, MMNIST-CIFAR, Moving Fashion-MNIST.
PUBLISHED_LR = {
    "convmixer": (1e-2, 5e-3, 1e-2),
    "convnext": (1e-2, 1e-2, 1e-2),
    "hornet": (1e-3, 1e-3, 1e-3),
    "incepu": (1e-3, 1e-3, 1e-3),
    "mlpmixer": (1e-3, 1e-3, 1e-3),
    "moganet": (1e-3, 5e-3, 1e-3),
    "poolformer": (1e-3, 1e-3, 1e-3),
    "swin": (1e-3, 1e-3, 1e-3),
    "uniformer": (5e-4, 1e-3, 5e-4),
    "van": (1e-3, 5e-3, 5e-3),
    "vit": (5e-4, 1e-3, 5e-4),
    "gsta": (1e-3, 1e-3, 1e-3),
    "tau": (1e-3, 5e-3, 1e-3),
}
PUBLISHED_RECURRENT_LR = {
    "convlstm": (5e-4, 1e-4, 5e-4),
    "predrnn": (5e-4, 1e-4, 5e-4),
    "predrnnpp": (1e-4, 1e-4, 5e-4),
    "predrnnv2": (5e-4, 1e-4, 5e-4),
    "mim": (5e-4, 1e-4, 1e-4),
    "e3dlstm": (1e-4, 1e-4, 1e-4),
    "mau": (1e-3, 5e-4, 5e-4),
    "phydnet": (1e-3, 1e-4, 5e-4),
    "prednet": (1e-4, 1e-3, 1e-4),
    "dmvfn": (1e-4, 1e-4, 1e-4),
    "vmrnn": (5e-5, 5e-5, 5e-5),
}
DATA = ("moving_mnist", "mmnist_cifar", "moving_fmnist")


PRESETS = {"taxibj", "weatherbench", "sevir_vil", "kth", "human36m", "kitti_caltech"}


def composed(*words: str, name: str = "train") -> DictConfig:
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        overrides = [*words, "run_dir=run"] if name == "train" else list(words)
        return compose(name, overrides=overrides)


def stems(group: str) -> set[str]:
    return {path.stem for path in (CONFIGS / group).glob("*.yaml")}


def test_stems_are_registry_keys():
    assert stems("translator") - NOT_ONE_BLOCK == set(predcnn.list_translators())
    assert stems("model") == set(predcnn.list_predictors())
    assert stems("data") - PRESETS == {*SETS.names(), "image_folder"}


@pytest.mark.parametrize("translator", sorted(stems("translator") - NOT_ONE_BLOCK))
def test_every_translator_file_names_its_own_block(translator):
    cfg = composed(f"translator={translator}")
    assert cfg.translator.block == translator
    assert cfg.name == f"simvp_{translator}"
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("scale", ["small", "published"])
@pytest.mark.parametrize("model", sorted(stems("model")))
def test_every_model_composes_at_every_scale(model, scale):
    cfg = composed(f"model={model}", f"scale={scale}")
    assert cfg.model.net.name == model
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(
    ("group", "choice"),
    [(g, s) for g in ("objective", "optimizer", "scheduler", "trainer") for s in sorted(stems(g))],
)
def test_every_other_file_composes(group, choice):
    cfg = composed(f"{group}={choice}")
    assert "_target_" in cfg[group]
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_command_composes(name):
    composed(name=name)


def test_trainer_lists_every_argument():
    accepted = set(inspect.signature(pl.Trainer.__init__).parameters) - {
        "self",
        "logger",
        "callbacks",
    }
    assert set(composed().trainer) - {"_target_"} == accepted


@pytest.mark.parametrize("model", sorted(stems("model")))
def test_a_model_file_lists_every_option_of_its_predictor(model):
    net = composed(f"model={model}").model.net
    accepted = set(inspect.signature(PREDICTORS[model].__init__).parameters) - {"self"}
    accepted |= set(inspect.signature(create_predictor).parameters) - {"options"}
    assert set(net) - {"_target_", "_convert_"} <= accepted


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("translator", sorted(PUBLISHED_LR))
def test_scale_published_is_the_published_recipe(translator, data):
    cfg = composed("scale=published", f"data={data}", f"translator={translator}")
    assert cfg.optimizer.lr == PUBLISHED_LR[translator][DATA.index(data)]
    net = cfg.model.net
    assert (net.hid_S, net.hid_T, net.N_S, net.N_T) == (64, 512, 4, 8)
    assert (net.mlp_ratio, net.drop_path) == (8.0, 0.0)
    assert (cfg.data.batch_size, cfg.data.train_sequences, cfg.trainer.max_epochs) == (
        16,
        10_000,
        200,
    )
    adam = cfg.optimizer
    assert adam._target_ == "torch.optim.Adam"
    assert (list(adam.betas), adam.weight_decay) == ([0.9, 0.999], 0.0)
    cycle = cfg.scheduler
    assert cycle._target_ == "torch.optim.lr_scheduler.OneCycleLR"
    assert (cycle.max_lr, cycle.pct_start, cycle.div_factor, cycle.final_div_factor) == (
        adam.lr, 0.3, 25.0, 1e4,
    )  # fmt: skip
    assert cycle.cycle_momentum
    expected = {"mse": 1.0, "divergence": 0.1} if translator == "tau" else {"mse": 1.0}
    assert dict(cfg.objective.terms) == expected
    assert cfg.trainer.gradient_clip_val is None
    assert cfg.ema is None


@pytest.mark.parametrize("model", sorted(stems("experiment/published")))
def test_published_experiments_name_their_model(model):
    cfg = composed(f"experiment=published/{model}")
    assert (cfg.model.label, cfg.scale.name) == (model.partition("_")[0], "published")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize(
    ("experiment", "in_shape", "parameters", "epochs"),
    [  # counted in the reference code's models
        ("predformer_taxibj", [4, 2, 32, 32], 9_491_232, 200),
        ("predformer_weatherbench", [12, 1, 32, 64], 5_273_360, 50),
        ("vmrnn_taxibj", [4, 2, 32, 32], 2_579_970, 2000),
    ],
)
def test_published_experiments_of_other_data_have_the_published_size(
    experiment, in_shape, parameters, epochs
):
    options = (f"data.in_shape={in_shape}", "model.net.compat=openstl")
    cfg = composed(f"experiment=published/{experiment}", *options)
    net, objective = instantiate(cfg.model.net), instantiate(cfg.objective)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert objective is not None
    assert (cfg.data.batch_size, cfg.trainer.max_epochs) == (16, epochs)


@pytest.mark.parametrize("data", DATA)
def test_predformer_has_its_published_recipe(data):
    cfg = composed("scale=published", f"data={data}", "model=predformer")
    adam = instantiate(cfg.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert type(adam) is torch.optim.AdamW
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (1e-3, 1e-2)
    assert cfg.scheduler._target_ == "torch.optim.lr_scheduler.OneCycleLR"
    assert dict(cfg.objective.terms) == {"mse": 1.0}
    assert composed("model=predformer").optimizer._target_ == "predcnn.training.muon.Muon"


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", sorted(PUBLISHED_RECURRENT_LR))
def test_recurrent_learning_rates_are_the_published_ones(model, data):
    cfg = composed("scale=published", f"data={data}", f"model={model}")
    assert cfg.optimizer.lr == PUBLISHED_RECURRENT_LR[model][DATA.index(data)]


def test_other_data_gets_the_default_learning_rate():
    cfg = composed("scale=published", "translator=convnext", "data.name=mine")
    assert cfg.optimizer.lr == cfg.translator.lr.default


def test_scale_large_is_simvp_large():
    net = composed("scale=large").model.net
    assert (net.hid_S, net.hid_T, net.N_T) == (128, 1024, 24)


def test_two_thousand_epochs_are_one_override():
    assert composed("scale=published", "trainer.max_epochs=2000").trainer.max_epochs == 2000


def test_a_stack_mixes_blocks():
    size = ("model.net.hid_T=16", "model.net.N_T=4")
    words = ("translator=stack", "translator.blocks=[moganet,van]", *size)
    predictor = instantiate(composed(*words, "data.height=32").model.net)
    kinds = [type(m).__name__ for m in predictor.modules() if type(m).__name__.endswith("Block")]
    assert kinds == ["MogaBlock", "VANBlock"] * 2


def test_data_keys_are_the_documented_ones():
    keys = (
        "root source protocol download batch_size num_workers frames_in frames_out noise in_shape"
    )
    assert set(keys.split()) <= set(composed().data)


def test_contributing_lists_the_files_of_the_default_run():
    text = (CONFIGS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. `([\w/.]+)`", text, re.MULTILINE)
    assert [path for path in listed if not (CONFIGS.parent / path).is_file()] == []
    yaml = {path.removeprefix("configs/") for path in listed if path.endswith(".yaml")}
    assert (len(yaml), len(listed) - len(yaml)) == (9, 19)
    with initialize_config_module("predcnn.configs", version_base="1.3"):
        overrides = ["translator=moganet", "run_dir=run"]
        cfg = compose("train", overrides=overrides, return_hydra_config=True)
    choices = {
        key.split("@")[0]: value
        for key, value in cfg.hydra.runtime.choices.items()
        if isinstance(value, str) and not key.startswith("hydra/")
    }
    silent = {"hydra", "logger", "callbacks", "local"}
    used = {f"{group}/{name}.yaml" for group, name in choices.items() if group not in silent}
    assert yaml == {"train.yaml", *used}


SAME = {
    **{t: ("simvp", {"translator": t}, f"translator={t}") for t in predcnn.list_translators()},
    **{name: (name, {}, f"model={name}") for name in PREDICTORS.names()},
}


@pytest.mark.parametrize("name", SAME)
def test_python_builds_what_the_command_line_composes(name):
    predictor, options, override = SAME[name]
    small = ("data.frames_in=4", "data.frames_out=4", "data.height=32", "scale=small")
    composed_net = instantiate(composed(override, *small).model.net)
    shape = (4, 1, 32, 32)
    built = create_predictor(predictor, in_shape=shape, scale="small", **options)
    assert built.config == composed_net.config
