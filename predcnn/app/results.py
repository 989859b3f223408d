"""The content of results.json: metrics, and the facts needed to reproduce them.

Schema 1, keys: ``schema, name, task, model, params, params_published, macs, macs_published, data
{name, source, protocol, fingerprint, sequences or images, split}, checkpoint {file, step, epoch},
metrics {name: value}, definitions {name: sentence}, seed, command, config_fingerprint, device,
deterministic {variable: value} or null, versions, git, timing``. Video prediction adds
``per_frame {name: [one value per lead time]}``, ``copy_last`` and ``mean_frame {metrics,
per_frame}``. Infinite values (the PSNR of identical frames) are null.
"""

from predcnn.app.provenance import git_state, versions
from predcnn.cores import strict_settings
from predcnn.costs import profile
from predcnn.data.datamodule import SplitDataModule
from predcnn.data.splits import SPLITS
from predcnn.files import finite
from predcnn.training.module import TrainingModule


def data_record(datamodule: SplitDataModule, split: str) -> dict:
    """Return the entry ``data`` of results.json for an evaluation of ``split``."""
    return {
        "name": datamodule.family.name,
        "source": datamodule.source,
        "protocol": datamodule.protocol,
        "fingerprint": datamodule.fingerprint,
        datamodule.unit: {name: len(datamodule.split(name)) for name in SPLITS},
        "split": split,
    }


def collect(
    module: TrainingModule, datamodule: SplitDataModule, split: str, checkpoint: dict, about: dict
) -> dict:
    """Return the content of results.json.

    Args:
        module: after ``trainer.test``.
        datamodule: the tested data.
        split: the tested split, "test" or "val".
        checkpoint: file, step and epoch of the tested weights.
        about: name, seed, command, config_fingerprint, device, timing.
    """
    costs = profile(module.network, datamodule.in_shape)
    return {
        "schema": 1,
        **about,
        "task": module.task,
        "model": module.config,
        "params": costs.params,
        "params_published": costs.params_published,
        "macs": costs.macs,
        "macs_published": costs.macs_published,
        "data": data_record(datamodule, split),
        "checkpoint": checkpoint,
        **finite(module.results()),
        "deterministic": strict_settings(),
        "versions": versions(),
        "git": git_state(),
    }
